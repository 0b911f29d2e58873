import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runCli, type Ran } from './support/cli.ts';
import { bearer, keyWith, type SiteKey } from './support/keys.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, oneModel, receiptOf, type Asked } from './support/road.ts';
import { startSite, type Reply, type Site } from './support/site.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
const UNAPPROVED = `@id("c3-unapproved")
@reason_ja("機密性3のデータには、用途の承認が必要です。")
@reason_en("Data labelled c3 needs an approved purpose.")
forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
when { context.label.conf > 2 && !context.approved };`;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let provider: Provider;
let site: Site;
let owner: SiteKey;
let user: SiteKey;

before(async () => {
  provider = held.use(await startProvider());
  // A fresh one each time, since what stands twice would be written as an alias.
  const title = (): object => ({ ja: '診療の要約', en: 'summaries of care' });
  site = await startSite({
    program: PLANTED_SITE,
    env: { PLANT: 'ahead' },
    governance: {
      ...oneModel([{ id: 'home', provider }]),
      site: {
        purposes: [
          'support',
          { id: 'care', title: title(), approval: { role: 'owner', hours: 8 } },
          { id: 'tax', title: title() },
        ],
      },
      policies: { own: UNAPPROVED },
    },
  });
  held.defer(async () => void (await site.stop()));
  owner = await keyWith(site, ['owner']);
  user = await keyWith(site, ['caller']);
});

after(async () => held.disposeAsync());

const ask = async (key: SiteKey, purpose: string | null, label = 'c2'): Promise<Asked> =>
  chat(site, chatBody('CNRY hello'), {
    ...bearer(key),
    'sekisho-label': label,
    ...(purpose === null ? {} : { 'sekisho-purpose': purpose }),
  });

const give = async (by: SiteKey, order: object): Promise<Reply> =>
  site.call('/api/v1/approvals', { body: JSON.stringify(order), headers: bearer(by) });

function idOf(reply: Reply): string {
  assert.equal(reply.status, 201, reply.text);
  return (JSON.parse(reply.text) as { id: string }).id;
}

const revoke = async (by: SiteKey, id: string): Promise<Reply> =>
  site.call(`/api/v1/approvals/${id}`, { method: 'DELETE', headers: bearer(by) });

async function errorOf(asked: Asked): Promise<{ code: string; innererror: Record<string, unknown> }> {
  const { error } = JSON.parse(asked.text) as {
    error: { code: string; innererror: Record<string, unknown> };
  };
  return error;
}

async function sekisho(args: readonly string[], key: string, lang = 'en_US.UTF-8'): Promise<Ran> {
  const env = { LANG: lang, SEKISHO_URL: site.url, SEKISHO_KEY: key };
  return runCli(args, { cwd: site.root, env });
}

/** The leaves of the log that are no road's, by an auditor's way. */
async function controls(): Promise<Record<string, unknown>[]> {
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  const url = logs[0]?.url ?? '';
  // A checkpoint may be a second old.
  await delay(1100);
  const size = Number((await site.call(`${url}/checkpoint`)).text.split('\n')[1]);
  assert.ok(size < 256);
  const reply = await fetch(new URL(`${url}/tile/entries/000.p/${size}`, site.url), {
    headers: bearer({ key: site.adminKey }),
  });
  assert.equal(reply.status, 200);
  const bytes = Buffer.from(await reply.arrayBuffer());
  const leaves: Record<string, unknown>[] = [];
  for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt16BE(at)) {
    const entry = bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at)).toString();
    leaves.push(JSON.parse(entry) as Record<string, unknown>);
  }
  return leaves.filter(({ kind }) => kind === 'control');
}

test('a purpose that needs an approval and has none is denied, recorded, and told whom to ask', async () => {
  const begun = provider.connections;
  const asked = await ask(user, 'care');
  assert.equal(asked.status, 403, asked.text);
  const { code, innererror } = await errorOf(asked);
  assert.equal(code, 'approval_required');
  const { ask: how, ...facts } = innererror;
  assert.deepEqual(facts, {
    decision_id: asked.headers.get('sekisho-receipt'),
    purpose: 'care',
    role: 'owner',
    hours: 8,
    caller: user.id,
  });
  const command = `sekisho approval new --purpose care --key ${user.id}`;
  for (const text of Object.values(how as object)) assert.ok(String(text).includes(command), String(text));
  const [leaf] = leavesOf(await receiptOf(site, asked));
  assert.deepEqual(
    [leaf?.decision['effect'], leaf?.decision['purpose'], leaf?.decision['to'], leaf?.outcome],
    ['deny', 'care', null, null],
  );
  assert.equal(provider.connections, begun);
});

test('purposes without an approval, and requests without a purpose, go on as before', async () => {
  for (const purpose of ['support', 'tax', null]) assert.equal((await ask(user, purpose)).status, 200);
  assert.equal((await errorOf(await ask(user, 'nothing'))).code, 'unknown_purpose');
});

test('an approval lets the request on, shows in its decision and in the log, and ends when it is taken back', async () => {
  const id = idOf(await give(owner, { purpose: 'care', caller: user.id, hours: 1, reason: 'CNRY ward' }));
  const asked = await ask(user, 'care');
  assert.equal(asked.status, 200, asked.text);
  const [leaf] = leavesOf(await receiptOf(site, asked));
  assert.deepEqual([leaf?.decision['effect'], leaf?.decision['purpose']], ['allow', 'care']);
  assert.equal((await ask(await keyWith(site, ['caller']), 'care')).status, 403, 'another key');
  assert.equal((await revoke(owner, id)).status, 200);
  assert.equal((await ask(user, 'care')).status, 403);
  const [given, taken] = (await controls()).slice(-2);
  assert.deepEqual(
    Object.keys(given ?? {}).sort(),
    'approval by caller event id kind log purpose role t tenant until v'.split(' '),
  );
  assert.deepEqual([given?.['event'], given?.['approval'], given?.['by']], ['approval', id, owner.id]);
  assert.deepEqual(Object.keys(taken ?? {}).sort(), [
    'approval',
    'by',
    'event',
    'id',
    'kind',
    'log',
    't',
    'v',
  ]);
  assert.deepEqual([taken?.['event'], taken?.['approval']], ['approval-revoked', id]);
  assert.doesNotMatch(JSON.stringify([given, taken]), /CNRY/);
});

test('a rule sees the approval: c3 goes on only under an approved purpose', async () => {
  const denied = await errorOf(await ask(user, 'support', 'c3'));
  assert.equal(denied.code, 'residency_policy_violation');
  assert.match(JSON.stringify(denied.innererror), /c3-unapproved.*機密性3/);
  const id = idOf(await give(owner, { purpose: 'care', tenant: user.tenant }));
  assert.equal((await ask(user, 'care', 'c3')).status, 200);
  assert.equal((await ask(user, 'support', 'c3')).status, 403);
  await revoke(owner, id);
});

const REFUSED: readonly (readonly [what: string, order: object, status: number, code: string])[] = [
  ['both a key and an organisation', { purpose: 'care', caller: 'k', tenant: 'o' }, 400, 'identity.invalid'],
  ['neither of them', { purpose: 'care' }, 400, 'identity.invalid'],
  ['more hours than the bundle allows', { purpose: 'care', tenant: '@', hours: 9 }, 400, 'identity.invalid'],
  ['no whole hour', { purpose: 'care', tenant: '@', hours: 0.5 }, 400, 'server.body'],
  ['a purpose that needs none', { purpose: 'support', tenant: '@' }, 400, 'identity.no_approval'],
  ['a purpose that is not there', { purpose: '__proto__', tenant: '@' }, 400, 'identity.no_approval'],
  ['an unknown member', { purpose: 'care', tenant: '@', until: 1 }, 400, 'server.body'],
  ['a reason of two lines', { purpose: 'care', tenant: '@', reason: 'a\nb' }, 400, 'identity.invalid'],
  ['an unknown key', { purpose: 'care', caller: 'k_unknown' }, 404, 'identity.unknown_key'],
  ['an unknown organisation', { purpose: 'care', tenant: 'o_unknown' }, 404, 'identity.unknown_tenant'],
];

for (const [what, order, status, code] of REFUSED)
  test(`an approval for ${what} is refused`, async () => {
    const own = 'tenant' in order && order.tenant === '@' ? { ...order, tenant: owner.tenant } : order;
    const reply = await give(owner, own);
    assert.equal(reply.status, status, reply.text);
    assert.equal((JSON.parse(reply.text) as { code: string }).code, code);
  });

test('a key that may use the purpose cannot approve it for itself, whatever roles it holds', async () => {
  const both = await keyWith(site, ['admin', 'operator', 'policy-signer', 'auditor', 'owner', 'caller']);
  const self = await give(both, { purpose: 'care', caller: both.id });
  assert.equal(self.status, 403);
  assert.match(self.text, /identity\.four_eyes/);
  const id = idOf(await give(both, { purpose: 'care', tenant: both.tenant }));
  assert.equal((await ask(both, 'care')).status, 403);
  assert.equal((await ask(user, 'care')).status, 200);
  await revoke(both, id);
});

test('approval new, list and revoke on the command line', async () => {
  const made = await sekisho(['approval', 'new', '--purpose', 'care', '--key', user.id, '--json'], owner.key);
  assert.equal(made.code, 0, made.err);
  const { id } = JSON.parse(made.out) as { id: string };
  assert.equal((await ask(user, 'care')).status, 200);
  const listed = await sekisho(['approval', 'list'], owner.key);
  assert.match(listed.out, new RegExp(`^${id}  live  care  ${user.id}  ${owner.id} \\(owner\\)  \\d{4}-`));
  const denied = await sekisho(['approval', 'new', '--purpose', 'care', '--key', user.id], user.key);
  assert.equal(denied.code, 1);
  assert.match(denied.err, /this needs the role owner/);
  assert.equal((await sekisho(['approval', 'revoke', id], owner.key)).code, 0);
  assert.equal((await sekisho(['approval', 'list'], owner.key)).out, '');
  assert.match((await sekisho(['approval', 'list', '--all'], owner.key)).out, new RegExp(`${id}  revoked`));
  assert.equal((await ask(user, 'care')).status, 403);
});

test('approval says how it is used in both languages, and exits 2 for wrong usage', async () => {
  const wrong = [
    [],
    ['new'],
    ['new', '--purpose', 'care'],
    ['new', '--purpose', 'care', '--key', 'k', '--org', 'o'],
    ['new', '--purpose', 'care', '--key', 'k', '--hours', '1.5'],
    ['list', 'x'],
    ['revoke'],
    ['revoke', 'a', 'b'],
  ];
  const ran = await Promise.all(wrong.map(async (args) => sekisho(['approval', ...args], owner.key)));
  for (const [i, { code, out, err }] of ran.entries()) {
    assert.equal(code, 2, String(wrong[i]));
    assert.equal(out, '');
    assert.match(err, /usage: sekisho approval new/);
  }
  assert.match(
    (await sekisho(['approval', '--help'], '', 'ja_JP.UTF-8')).out,
    /使い方: sekisho approval new/,
  );
});

test('doctor warns of a valid key that holds policy-signer and operator, and of no other', async () => {
  const [joined, apart] = [
    await keyWith(site, ['operator', 'policy-signer']),
    await keyWith(site, ['policy-signer']),
  ];
  const before = await sekisho(['doctor'], site.adminKey);
  assert.match(before.out, new RegExp(`warning\\s+key ${joined.id}: holds policy-signer and operator`));
  assert.doesNotMatch(before.out, new RegExp(apart.id));
  await site.call(`/api/v1/keys/${joined.id}`, { method: 'DELETE' });
  assert.doesNotMatch((await sekisho(['doctor'], site.adminKey)).out, new RegExp(joined.id));
  assert.doesNotMatch((await sekisho(['doctor'], user.key)).out, /policy-signer and operator/);
});

test('an approval ends with its hours', async () => {
  idOf(await give(owner, { purpose: 'care', caller: user.id }));
  assert.equal((await ask(user, 'care')).status, 200);
  process.kill(site.pid, 'SIGUSR2');
  while (!/clock 86400000/.test(site.stderr())) await delay(10);
  assert.equal((await ask(user, 'support')).status, 200, 'the rest goes on');
  assert.equal((await errorOf(await ask(user, 'care'))).code, 'approval_required');
});
