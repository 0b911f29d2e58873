import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { after as changed, applied, firstSigner, runningOf } from './support/bundles.ts';
import { bearer, keyWith, type SiteKey } from './support/keys.ts';
import { explainReply } from '../src/server/decisions/contract.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, oneModel, type Asked } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
const DIGEST = `sha256:${'a'.repeat(64)}`;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let site: Site;
let provider: Provider;
let owner: SiteKey;
let official: SiteKey;

before(async () => {
  provider = held.use(await startProvider());
  const title = { ja: '議事録の要約', en: 'summaries of minutes' };
  const residency = {
    contract: 'negotiated',
    certifications: ['ISMAP'],
    evidence: [{ document: 'ISMAP', digest: DIGEST, expires: '2036-01-01' }],
  };
  site = await startSite({
    program: PLANTED_SITE,
    env: { PLANT: 'ahead' },
    governance: {
      ...oneModel([{ id: 'listed', provider, facts: { residency } }]),
      site: {
        packs: ['default', 'gov-jp'],
        purposes: ['drafting', { id: 'minutes', title, approval: { role: 'owner', hours: 8 } }],
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  owner = await keyWith(site, ['owner']);
  official = await keyWith(site, ['caller']);
});

after(async () => held.disposeAsync());

const ask = async (purpose: string): Promise<Asked> =>
  chat(site, chatBody('hello'), { ...bearer(official), 'sekisho-purpose': purpose });

function refusal({ status, text }: Asked): string {
  assert.equal(status, 403, text);
  const { error } = JSON.parse(text) as {
    error: { code: string; innererror: { reasons?: readonly { policy: string; ja: string; en: string }[] } };
  };
  return [error.code, ...(error.innererror.reasons ?? []).map(({ policy }) => policy)].join(' ');
}

test('class 2 leaves an agency only while an approval of its purpose holds', async () => {
  const asked = provider.requests.length;
  assert.equal(refusal(await ask('drafting')), 'residency_policy_violation gov-jp/approval-missing');
  assert.equal(refusal(await ask('minutes')), 'approval_required');
  assert.equal(provider.requests.length, asked, 'nothing has left');

  const order = JSON.stringify({ purpose: 'minutes', caller: official.id });
  const given = await site.call('/api/v1/approvals', { body: order, headers: bearer(owner) });
  assert.equal(given.status, 201, given.text);
  const allowed = await ask('minutes');
  assert.equal(allowed.status, 200, allowed.text);
  assert.equal(provider.requests.length, asked + 1);
  assert.equal(refusal(await ask('drafting')), 'residency_policy_violation gov-jp/approval-missing');

  process.kill(site.pid, 'SIGUSR2');
  while (!/clock 86400000/.test(site.stderr())) await delay(10);
  assert.equal(refusal(await ask('minutes')), 'approval_required', 'it has expired');
  assert.equal(provider.requests.length, asked + 1);
});

test('an approval that a request had counts in its explanation only where the running bundle asks for one', async () => {
  const order = JSON.stringify({ purpose: 'minutes', caller: official.id });
  await site.call('/api/v1/approvals', { body: order, headers: bearer(owner) });
  const allowed = await ask('minutes');
  assert.equal(allowed.status, 200, allowed.text);
  const rid = allowed.headers.get('sekisho-receipt') ?? '';
  assert.deepEqual(await explained(rid), { given: true, effect: 'allow', rules: [] });
  const before = await runningOf(site);
  await applied(site, changed(before, { purposes: ['drafting', 'minutes'] }), firstSigner(site));
  const now = await explained(rid);
  assert.deepEqual(now, { given: undefined, effect: 'deny', rules: ['gov-jp/approval-missing'] });
});

async function explained(rid: string): Promise<object> {
  const reply = await site.call(`/api/v1/policy/explain?rid=${rid}`);
  assert.equal(reply.status, 200, reply.text);
  const { approval, endpoints } = explainReply.parse(JSON.parse(reply.text));
  const [{ effect, rules } = { effect: null, rules: [] }] = endpoints;
  return { given: approval?.given, effect, rules: effect === 'deny' ? rules : [] };
}
