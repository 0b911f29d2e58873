import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { outside, sampleBundle, sampleDrafts, SIGNER, SIGNERS } from '../../test/support/policy.ts';
import { buildBundle, bundleHash, encodeBundle, MAX_BUNDLE_BYTES, parseBundle } from './bundle.ts';
import type { Drafts } from './types.ts';

const text = encodeBundle(sampleBundle()).toString();

function parsed(json: string | Buffer): unknown {
  return parseBundle(typeof json === 'string' ? Buffer.from(json) : json);
}

function build(change: Partial<Drafts>, signers = SIGNERS): unknown {
  return buildBundle({ ...sampleDrafts(), ...change }, { version: 1, signers });
}

test('canonical bytes read back as the same bundle, and the hash is the one of the bytes', () => {
  const bundle = sampleBundle({
    purposes: ['support'],
    policies: { own: 'permit(principal, action, resource);' },
  });
  const bytes = encodeBundle(bundle);
  assert.deepEqual(parseBundle(bytes), bundle);
  assert.equal(bundleHash(bundle), `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  assert.equal(bundle.kind, 'governance');
});

test('the hash does not depend on the order in which drafts name things', () => {
  const other = { ...outside, id: 'another' };
  const one = build({ providers: [outside, other] });
  const two = build({ providers: [other, outside] });
  assert.deepEqual(one, two);
});

test('every part has its digest, and only the changed part gets another', () => {
  const before = sampleBundle().digests;
  const after = sampleBundle({ record: { inference: 'US' } }).digests;
  const changed = Object.keys(before).filter((part) => before[part] !== after[part]);
  assert.deepEqual(changed, ['providers/outside']);
  assert.deepEqual(Object.keys(before).sort(), [
    'models',
    'packs/default',
    'providers/outside',
    'purposes',
    'site',
    'tests',
  ]);
});

test('refuses bytes that are not the canonical form of a bundle', () => {
  const hostile: (string | Buffer)[] = [
    '',
    'null',
    '[]',
    '{}',
    '1',
    ` ${text}`,
    `${text}\n`,
    `\ufeff${text}`,
    text.slice(0, -1),
    text.replace('"v":1', '"v":1.0'),
    text.replace('"v":1', '"v":1,"v":1'),
    text.replace('"v":1', '"v":2'),
    text.replace('"v":1', '"v":1,"w":1'),
    text.replace('"version":1', '"version":0'),
    text.replace('"kind":"governance"', '"kind":"other"'),
    text.replace('"jurisdiction":"JP"', '"jurisdiction":"jp"'),
    text.replace('"selfDeclared":false', '"selfDeclared":true'),
    text.replace('{"digests"', '{"__proto__":{"x":1},"digests"'),
    text.replace('"models":{"chat"', '"models":{"__proto__":{},"chat"'),
    text.replace('"policies":{', '"policies":{"__proto__":"",'),
    text.replace('Domestic', '\\u0044omestic'),
    Buffer.from(text.replace('Domestic', 'Dom\u00e9stic'), 'latin1'),
    '['.repeat(200_000),
    `{"digests":${'['.repeat(200_000)}`,
    Buffer.alloc(MAX_BUNDLE_BYTES + 1, 0x20),
  ];
  for (const bytes of hostile)
    assert.throws(() => parsed(bytes), { kind: 'invalid', name: 'Fault' }, String(bytes).slice(0, 40));
});

test('refuses a part that was changed without its digest, and a digest without its part', () => {
  assert.throws(
    () => parsed(text.replaceAll('Domestic K.K.', 'Domestic K.L.')),
    /digest of providers\/outside/,
  );
  assert.throws(() => parsed(text.replace('above c1', 'above c2')), /digest of packs\/default/);
  const extra = text.replace('"digests":{', `"digests":{"a":"sha256:${'0'.repeat(64)}",`);
  assert.throws(() => parsed(extra), /names a part|name a part/);
});

test('refuses parts that contradict each other, naming both', () => {
  const models = (endpoint: string): Drafts['models'] => ({
    chat: { from: [{ endpoint, weight: 1 }], strategy: 'order', label: null },
  });
  const from = [1, 1].map((weight) => ({ endpoint: 'outside/m', weight }));
  const own = { ...outside, kind: 'llama' };
  const backwards = {
    ...outside,
    residency: { ...(outside.residency ?? assert.fail()), expires: 1, issued: 2 },
  };
  const cases: [Partial<Drafts>, RegExp][] = [
    [{ models: models('outsid/m') }, /models\.chat: no endpoint "outsid\/m", did you mean "outside\/m"/],
    [{ models: { chat: { from, strategy: 'order', label: null } } }, /"outside\/m" is there twice/],
    [{ models: { chat: { from: [], strategy: 'order', label: null } } }, /at least one endpoint/],
    [{ providers: [outside, outside] }, /providers: id "outside" is there twice/],
    [{ providers: [own] }, /url: a llama provider is this machine and has none.*residency/],
    [{ providers: [{ ...outside, url: null }] }, /url: a provider of kind openai needs one/],
    [{ providers: [{ ...outside, network: null }] }, /network: a provider of kind openai needs/],
    [{ providers: [{ ...outside, models: {} }] }, /models: expected at least one/],
    [{ providers: [backwards] }, /expires: expected a time after/],
    [{ packs: {} }, /"default" is named by site.packs and not there/],
    [{ purposes: ['a', 'a'] }, /purposes: "a" is there twice/],
  ];
  for (const [change, problem] of cases)
    assert.throws(
      () => build(change),
      (fault: Error) => 'code' in fault && fault.code === 'policy.draft' && problem.test(fault.message),
      String(problem),
    );
});

test('refuses a threshold that the keys cannot meet, and a key that is there twice', () => {
  assert.throws(() => build({}, { threshold: 2, keys: [SIGNER] }), /cannot be met by 1 keys/);
  assert.throws(() => build({}, { threshold: 2, keys: [SIGNER, SIGNER] }), /is there twice/);
  assert.throws(() => build({}, { threshold: 0, keys: [SIGNER] }), /threshold/);
  assert.throws(() => build({}, { threshold: 1, keys: ['not a key'] }), /public key/);
});

test('refuses more endpoints than a decision leaf can name', () => {
  const models = Object.fromEntries(
    Array.from({ length: 33 }, (_, i) => [`m${i}`, { accepts: 2 as const, upstream: 'm', price: null }]),
  );
  const from = Object.keys(models).map((name) => ({ endpoint: `outside/${name}`, weight: 1 }));
  const change = {
    providers: [{ ...outside, models }],
    models: { chat: { from, strategy: 'order' as const, label: null } },
  };
  assert.throws(() => build(change), /models\.chat\.from/);
});

test('a bundle that runs cannot be changed in passing', () => {
  const bundle = sampleBundle();
  assert.ok(
    Object.isFrozen(bundle.providers[0]?.network?.addresses) &&
      Object.isFrozen(bundle.packs['default']?.policies),
  );
});
