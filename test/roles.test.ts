import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROLES } from '../src/identity/types.ts';
import { APPROVING_ROLES } from '../src/policy/types.ts';
import { bearer, keyWith, organisation, type SiteKey } from './support/keys.ts';
import { startProvider } from './support/provider.ts';
import { chatBody, oneModel } from './support/road.ts';
import { COLUMNS, ROLE_TABLE } from './support/role-table.ts';
import { startSite, type Reply, type Site } from './support/site.ts';
import { ROOT } from './support/source.ts';

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let site: Site;
/** A key for each role, holding it alone, all in one organisation. */
const keys = new Map<string, SiteKey>();
let colleague: SiteKey;
let foreigner: SiteKey;
let owner: SiteKey;
const receipts = { own: '', foreign: '' };
let entries = '';

before(async () => {
  const provider = held.use(await startProvider());
  const title = { ja: '診療', en: 'care' };
  site = await startSite({
    governance: {
      ...oneModel([{ id: 'home', provider }]),
      site: { purposes: [{ id: 'care', title, approval: { role: 'owner', hours: 8 } }] },
    },
  });
  held.defer(async () => void (await site.stop()));
  for (const role of ROLES) keys.set(role, await keyWith(site, [role]));
  colleague = await keyWith(site, ['caller']);
  owner = await keyWith(site, ['owner']);
  receipts.own = await receiptBy(colleague);
  foreigner = await keyWith(site, ['caller'], await organisation(site, 'else'));
  receipts.foreign = await receiptBy(foreigner);
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  entries = `${logs[0]?.url ?? ''}/tile/entries/000.p/1`;
});

after(async () => held.disposeAsync());

type Act = (key: SiteKey) => Promise<Reply>;

const get =
  (at: () => string): Act =>
  async (key) =>
    site.call(at(), { headers: bearer(key) });

const post =
  (at: string, body: () => string, headers: Record<string, string> = {}): Act =>
  async (key) =>
    site.call(at, { body: body(), headers: { ...bearer(key), ...headers } });

async function receiptBy(key: SiteKey): Promise<string> {
  const reply = await post('/v1/chat/completions', () => chatBody('hello'))(key);
  assert.equal(reply.status, 200, reply.text);
  const id = reply.headers.get('sekisho-receipt') ?? '';
  assert.equal((await get(() => `/v1/receipts/${id}?wait=10`)(key)).status, 200);
  return id;
}

const json = (value: unknown) => (): string => JSON.stringify(value);
const order = (): string => JSON.stringify({ purpose: 'care', caller: colleague.id });

async function freshApproval(): Promise<string> {
  const reply = await post('/api/v1/approvals', order)(owner);
  assert.equal(reply.status, 201, reply.text);
  return (JSON.parse(reply.text) as { id: string }).id;
}

const erase = async (rid: string, key: SiteKey): Promise<Reply> =>
  post('/api/v1/erasures', json({ rid, ground: 'appi-35' }))(key);

// Counting asks for the same rights, and leaves the other acts their requests.
const eraseMany = async (scope: Record<string, string>, key: SiteKey): Promise<Reply> =>
  post('/api/v1/erasures/batch', json({ ...scope, ground: 'appi-22', dryRun: true }))(key);

const remove = async (at: string, key: SiteKey): Promise<Reply> =>
  site.call(at, { method: 'DELETE', headers: bearer(key) });

const ACTS: Readonly<Record<string, Act>> = {
  'ask a model': post('/v1/chat/completions', () => chatBody('hello')),
  'ask under a lower label': post('/v1/chat/completions', () => chatBody('hello'), { 'sekisho-label': 'c1' }),
  'list models': get(() => '/v1/models'),
  'read a receipt of the own organisation': get(() => `/v1/receipts/${receipts.own}`),
  'read a receipt of another organisation': get(() => `/v1/receipts/${receipts.foreign}`),
  'read the entries of the log': get(() => entries),
  'read metrics': get(() => '/metrics'),
  'list keys': get(() => '/api/v1/keys'),
  'make a key': post('/api/v1/keys', json({ name: 'made' })),
  'revoke a key': async (key) => remove(`/api/v1/keys/${(await keyWith(site, ['caller'])).id}`, key),
  'list organisations': get(() => '/api/v1/orgs'),
  'make an organisation': post('/api/v1/orgs', json({ name: 'new' })),
  'read the running policy': get(() => '/api/v1/policy'),
  'read the history of policy': get(() => '/api/v1/policy/history'),
  'apply a bundle nobody signed': post('/api/v1/policy/apply', json({})),
  'explain a decision': get(() => '/api/v1/policy/explain?model=chat'),
  'ask what another bundle would change': post('/api/v1/policy/what-if', json({})),
  'give an approval that owners give': post('/api/v1/approvals', order),
  'list approvals': get(() => '/api/v1/approvals'),
  'take back an approval of owners': async (key) => remove(`/api/v1/approvals/${await freshApproval()}`, key),
  'erase a request of the own organisation': async (key) => erase(await receiptBy(colleague), key),
  'erase a request of another organisation': async (key) => erase(await receiptBy(foreigner), key),
  'erase all requests of the own organisation': async (key) => eraseMany({ tenant: colleague.tenant }, key),
  'erase all requests of another organisation': async (key) => eraseMany({ tenant: foreigner.tenant }, key),
  'erase all requests before a day': async (key) => eraseMany({ before: '2020-01-01' }, key),
};

for (const [act, statuses] of ROLE_TABLE)
  for (const [i, role] of COLUMNS.entries())
    test(`${role}, to ${act}: ${String(statuses[i])}`, async () => {
      const key = keys.get(role);
      assert.ok(key !== undefined);
      const reply = await ACTS[act]?.(key);
      assert.equal(reply?.status, statuses[i], String(reply?.text));
    });

test('the table has every role that a key can hold, and so has the list of those who approve', () => {
  assert.deepEqual(COLUMNS, ROLES);
  assert.deepEqual(APPROVING_ROLES, ROLES);
  assert.deepEqual(
    ROLE_TABLE.map(([act]) => act),
    Object.keys(ACTS),
  );
});

test('opening keys go to the key that asked, and to no role', async () => {
  for (const key of keys.values())
    assert.doesNotMatch((await get(() => `/v1/receipts/${receipts.own}`)(key)).text, /"open":/);
  assert.match((await get(() => `/v1/receipts/${receipts.own}`)(colleague)).text, /"open":/);
});

test('a denied lowering of the label is recorded under the floor', async () => {
  const key = keys.get('caller');
  assert.ok(key !== undefined);
  const reply = await ACTS['ask under a lower label']?.(key);
  assert.match(reply?.text ?? '', /label_downgrade/);
  assert.equal(reply?.headers.get('sekisho-label'), 'c2');
  assert.match(reply?.headers.get('sekisho-receipt') ?? '', /^r_/);
});

for (const file of ['roles.md', 'roles.ja.md'])
  test(`docs/${file} shows this table`, () => {
    const text = readFileSync(path.join(ROOT, 'docs', file), 'utf8');
    const rows = text.split('\n').filter((line) => /^\| .*\| \d{3} \|/.test(line));
    const shown = rows.map((row) => row.split('|').slice(2, -1).map(Number));
    assert.deepEqual(
      shown,
      ROLE_TABLE.map(([, statuses]) => statuses),
    );
    const heads = text.split('\n').find((line) => /^\|.*\| admin \|/.test(line));
    assert.deepEqual(
      heads
        ?.split('|')
        .slice(2, -1)
        .map((cell) => cell.trim()),
      COLUMNS,
    );
  });
