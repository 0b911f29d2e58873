import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { forgeries } from './support/forge.ts';
import { validateReply } from './support/openai-schema.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, logKey, oneModel, receiptOf, verified } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

let home: Provider;
let abroad: Provider;
let site: Site;

before(async () => {
  home = await startProvider();
  abroad = await startProvider({ host: '127.0.0.2' });
  const drafts = oneModel([
    { id: 'home', provider: home },
    { id: 'abroad', provider: abroad, facts: { country: 'US' } },
  ]);
  site = await startSite({
    governance: {
      ...drafts,
      models: { ...drafts.models, elsewhere: { from: [{ endpoint: 'abroad/m', weight: 1 }] } },
    },
  });
});

after(async () => {
  await site.stop();
  await home.close();
  await abroad.close();
});

test('a plain answer carries its receipt, which verifies offline with both bodies', async () => {
  const asked = await chat(site, chatBody('a plain question'));
  assert.equal(asked.status, 200, asked.text);
  assert.deepEqual(validateReply('CreateChatCompletionResponse', JSON.parse(asked.text)), []);
  assert.equal(asked.headers.get('sekisho-endpoint'), 'home/m');
  assert.equal(asked.headers.get('sekisho-label'), 'c2');
  assert.equal(asked.headers.get('x-request-id'), asked.headers.get('sekisho-receipt'));
  const verdict = await verified(site, asked);
  assert.deepEqual(
    [verdict.exit, verdict.level, verdict.state],
    [0, 'logged', 'closed'],
    verdict.reasons.join(),
  );
});

test('a streamed answer carries its receipt, framing included', async () => {
  const asked = await chat(site, chatBody('a streamed question', { stream: true }));
  assert.equal(asked.status, 200);
  assert.match(asked.headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.ok(asked.text.endsWith('data: [DONE]\n\n'), asked.text.slice(-80));
  for (const [, data = ''] of asked.text.matchAll(/^data: (\{.*)$/gm)) {
    assert.deepEqual(validateReply('CreateChatCompletionStreamResponse', JSON.parse(data)), []);
  }
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
});

test('the decision names where the request may go, and the outcome what the socket showed', async () => {
  const asked = await chat(site, chatBody('where to'));
  const [leaves] = leavesOf(await receiptOf(site, asked));
  assert.equal(leaves?.decision['effect'], 'allow');
  assert.equal(Object(leaves?.decision['to']).endpoint, 'home/m');
  assert.equal(Object(leaves?.decision['to']).country, 'JP');
  assert.equal(leaves?.outcome?.['status'], 'ok');
  assert.equal(leaves?.outcome?.['http'], 200);
  assert.equal(leaves?.outcome?.['attempts'], 1);
  const sent = home.requests.at(-1)?.body.length ?? 0;
  assert.equal(leaves?.outcome?.['in'], 2 ** Math.ceil(Math.log2(sent)));
});

test('a c2 prompt with only a foreign endpoint is denied in both languages, and the foreign socket sees nothing', async () => {
  const asked = await chat(site, chatBody('a secret').replace('"chat"', '"elsewhere"'));
  assert.equal(asked.status, 403, asked.text);
  const { error } = JSON.parse(asked.text) as { error: Record<string, unknown> };
  assert.equal(error['code'], 'residency_policy_violation');
  const inner = Object(error['innererror']) as {
    decision_id: string;
    label: string;
    reasons: Record<string, string>[];
  };
  assert.equal(inner.decision_id, asked.headers.get('sekisho-receipt'));
  assert.equal(inner.label, 'c2');
  assert.ok(inner.reasons.length > 0);
  for (const reason of inner.reasons) {
    assert.equal(reason['endpoint'], 'abroad/m');
    assert.match(reason['ja'] ?? '', /[ぁ-んァ-ヶ一-龠]/);
    assert.match(reason['en'] ?? '', /[a-z]/);
  }
  assert.equal(abroad.connections, 0);
  assert.equal(asked.headers.get('sekisho-endpoint'), null);
  const [leaves] = leavesOf(await receiptOf(site, asked));
  assert.equal(leaves?.decision['effect'], 'deny');
  assert.equal(leaves?.decision['to'], null);
  const verdict = await verifyReceipt(
    Buffer.from(await receiptOf(site, asked)),
    { vkeys: [await logKey(site)] },
    { request: asked.request },
  );
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed']);
});

test('a header may raise the label; asking for a lower one is refused and recorded', async () => {
  const raised = await chat(site, chatBody('raised'), { 'sekisho-label': 'c3,personal' });
  assert.equal(raised.status, 200, raised.text);
  assert.equal(raised.headers.get('sekisho-label'), 'c3,personal');
  const lowered = await chat(site, chatBody('lowered'), { 'sekisho-label': 'c1' });
  assert.equal(lowered.status, 400);
  assert.equal(JSON.parse(lowered.text).error.code, 'label_downgrade');
  const [leaves] = leavesOf(await receiptOf(site, lowered));
  assert.equal(leaves?.decision['effect'], 'deny');
});

test('an unknown purpose is refused, recorded, and its text is not in the leaf', async () => {
  const asked = await chat(site, chatBody('why'), { 'sekisho-purpose': 'free-text-purpose' });
  assert.equal(asked.status, 400);
  assert.equal(JSON.parse(asked.text).error.code, 'unknown_purpose');
  const [leaves] = leavesOf(await receiptOf(site, asked));
  assert.equal(leaves?.decision['purpose'], null);
});

test('the provider gets its own model name and is told to keep nothing', async () => {
  await chat(site, chatBody('look at this', { user: 'u1' }));
  const body = JSON.parse(home.requests.at(-1)?.body.toString() ?? '{}') as Record<string, unknown>;
  assert.equal(body['model'], 'm');
  assert.equal(body['store'], false);
  assert.equal(body['user'], 'u1');
});

test('only a fixed set of headers reaches the provider', async () => {
  await chat(site, chatBody('headers'), {
    'x-canary': 'CNRY',
    cookie: 'a=CNRY',
    'sekisho-request-id': 'CNRY',
  });
  const { headers = {} } = home.requests.at(-1) ?? {};
  const allowed = [
    'accept',
    'accept-encoding',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
  ];
  assert.deepEqual(
    Object.keys(headers).filter((name) => !allowed.includes(name)),
    [],
  );
  assert.doesNotMatch(JSON.stringify(headers), /CNRY/);
});

test('receipts of this site, forged in each way, do not verify', async () => {
  const asked = await chat(site, chatBody('forge me', { stream: true }));
  const receipt = await receiptOf(site, asked);
  const vkeys = [await logKey(site)];
  const forged = forgeries(receipt, asked);
  assert.ok(forged.length > 30);
  for (const { name, text, request, response, exit } of forged) {
    const bodies = {
      ...(request === undefined ? {} : { request }),
      ...(response === undefined ? {} : { response }),
    };
    const verdict = await verifyReceipt(Buffer.from(text), { vkeys }, bodies);
    assert.equal(verdict.exit, exit, `${name}: ${verdict.reasons.join()}`);
  }
});

test('a receipt is shown to its own organisation and to auditors; a stranger gets 404', async () => {
  const asked = await chat(site, chatBody('mine'));
  const id = asked.headers.get('sekisho-receipt') ?? '';
  const made = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const headers = { 'content-type': 'application/json' };
    const reply = await site.call(path, { method: 'POST', body: JSON.stringify(body), headers });
    assert.equal(reply.status, 201, reply.text);
    return JSON.parse(reply.text) as Record<string, unknown>;
  };
  const org = await made('/api/v1/orgs', { name: 'another' });
  const stranger = await made('/api/v1/keys', { name: 's', roles: ['caller'], tenant: org['id'] });
  const auditor = await made('/api/v1/keys', { name: 'a', roles: ['auditor'], tenant: org['id'] });
  const colleague = await made('/api/v1/keys', { name: 'c', roles: ['caller'] });
  const as = async (key: unknown): Promise<{ status: number; text: string }> =>
    site.call(`/v1/receipts/${id}`, { headers: { authorization: `Bearer ${String(key)}` } });
  assert.equal((await as(stranger['key'])).status, 404);
  for (const other of [auditor, colleague]) {
    const seen = await as(other['key']);
    assert.equal(seen.status, 200);
    assert.equal(JSON.parse(seen.text).open, undefined);
  }
  assert.ok(JSON.parse((await site.call(`/v1/receipts/${id}`)).text).open.in);
});

test('entry bundles are for auditors, hashes and checkpoints for everybody', async () => {
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  const base = logs[0]?.url ?? '';
  const nobody = { headers: { authorization: '' } };
  const checkpoint = await site.call(`${base}/checkpoint`, nobody);
  assert.equal(checkpoint.status, 200);
  assert.equal(checkpoint.headers.get('access-control-allow-origin'), '*');
  const size = Number(checkpoint.text.split('\n')[1]);
  assert.equal((await site.call(`${base}/tile/0/000.p/${size}`, nobody)).status, 200);
  assert.equal((await site.call(`${base}/tile/entries/000.p/${size}`, nobody)).status, 401);
  assert.equal((await site.call(`${base}/tile/entries/000.p/${size}`)).status, 200);
  assert.equal((await site.call(`${base}/tile/0/000.p/255`, nobody)).status, 404);
});

test('a leaf can be had as a tlog-proof', async () => {
  const asked = await chat(site, chatBody('prove one leaf'));
  const id = asked.headers.get('sekisho-receipt') ?? '';
  const proof = await site.call(`/v1/receipts/${id}?leaf=outcome`);
  assert.match(proof.text, /^c2sp\.org\/tlog-proof@v1\nextra [A-Za-z0-9+/=]+\nindex \d+\n/);
  assert.match(proof.headers.get('content-type') ?? '', /^text\/plain/);
});
