import assert from 'node:assert/strict';
import { after as afterAll, before, test } from 'node:test';
import { signerFromSeed, type NoteSigner } from '../src/ledger/note.ts';
import { bundleHash } from '../src/policy/bundle.ts';
import { emergencyBundle } from '../src/policy/emergency.ts';
import type { Bundle } from '../src/policy/types.ts';
import { unsignedText } from '../src/server/signed-bundle.ts';
import {
  after,
  ada,
  ben,
  cho,
  applyTo,
  codeOf,
  forgedText,
  rawSigned,
  runningOf,
  signatureLine,
  signedBy,
  signerNamed,
  startTwoOfThree,
  TWO_OF_THREE,
  vkeyOf,
} from './support/bundles.ts';
import type { Site } from './support/site.ts';

const stranger = signerNamed('stranger');

const held = new AsyncDisposableStack();
let site: Site;
let first: NoteSigner;
/** What runs while the cases below are refused. */
let running: Bundle;
let versionOne: Bundle;

before(async () => {
  ({ site, first, running, versionOne } = held.use(await startTwoOfThree()));
});

afterAll(async () => held.disposeAsync());

interface Hostile {
  readonly what: string;
  readonly code: string;
  readonly text: () => string;
}

const next = (): Bundle => after(running);
const good = (): string => signedBy(next(), ada, ben);
/** Signed by enough, whatever the bundle is. */
const forged = (change: Readonly<Record<string, unknown>>): string =>
  rawSigned(forgedText(next(), change), ada, ben);
const site1 = (change: Readonly<Record<string, unknown>>): string =>
  forged({ site: { ...next().site, ...change } });
const provider1 = (change: Readonly<Record<string, unknown>>): string =>
  forged({ providers: next().providers.map((one) => ({ ...one, ...change })) });
const models = (from: unknown): string =>
  forged({ models: { chat: { from, label: null, strategy: 'order' } } });
const policy = (text: string): string => forged({ policies: { own: text } });
/** What the next bundle says that it wants, while a rule of its own denies it. */
const WISHED = {
  name: 'chat is answered at home',
  model: 'chat',
  roles: ['caller'],
  label: null,
  purpose: null,
  at: null,
  allow: ['home/m'],
  deny: {},
};
const REASONS = '@reason_ja("x") @reason_en("x") ';

const CASES: readonly Hostile[] = [
  { what: 'nothing', code: 'policy.note', text: () => '' },
  { what: 'noise', code: 'policy.note', text: () => 'not a bundle' },
  { what: 'a control character', code: 'policy.note', text: () => good().replace('{', '{\u0001') },
  { what: 'a missing end', code: 'policy.note', text: () => good().slice(0, -1) },
  { what: 'something after the signatures', code: 'policy.note', text: () => `${good()}more\n` },
  {
    what: 'a malformed signature line',
    code: 'policy.note',
    text: () => good().replace('\u2014 test/ben', '- test/ben'),
  },
  {
    what: 'too many signature lines',
    code: 'policy.note',
    text: () => good() + signatureLine('x', stranger).repeat(100),
  },
  { what: 'more than may be read', code: 'gateway.request_too_large', text: () => 'x'.repeat(4_300_000) },
  {
    what: 'a bundle larger than one may be',
    code: 'policy.too_large',
    text: () => rawSigned(`${'x'.repeat(4 * 1024 * 1024 + 1)}\n`, ada, ben),
  },
  { what: 'no JSON', code: 'policy.not_canonical', text: () => rawSigned('governance\n', ada, ben) },
  {
    what: 'another spelling',
    code: 'policy.not_canonical',
    text: () => rawSigned(unsignedText(next()).replace('{', '{ '), ada, ben),
  },
  {
    what: 'a member twice',
    code: 'policy.not_canonical',
    text: () => rawSigned(unsignedText(next()).replace('"v":1', '"v":1,"v":1'), ada, ben),
  },
  {
    what: 'two lines',
    code: 'policy.not_canonical',
    text: () => rawSigned(unsignedText(next()).repeat(2), ada, ben),
  },
  {
    what: 'deeply nested lists',
    code: 'policy.not_canonical',
    text: () => rawSigned(`${'['.repeat(200_000)}\n`, ada, ben),
  },
  { what: 'a list', code: 'policy.schema', text: () => rawSigned('[]\n', ada, ben) },
  { what: 'an unknown member', code: 'policy.schema', text: () => forged({ exceptions: ['all'] }) },
  {
    what: 'an unknown member of a provider',
    code: 'policy.schema',
    text: () => provider1({ trusted: true }),
  },
  { what: 'another format version', code: 'policy.schema', text: () => forged({ v: 2 }) },
  {
    what: 'a version that is no whole number',
    code: 'policy.not_canonical',
    text: () => forged({ version: 3.5 }),
  },
  {
    what: 'a threshold of none',
    code: 'policy.schema',
    text: () => site1({ signers: { threshold: 0, keys: TWO_OF_THREE.keys } }),
  },
  { what: 'no signers', code: 'policy.schema', text: () => site1({ signers: { threshold: 1, keys: [] } }) },
  {
    what: 'a self-declared record abroad',
    code: 'policy.schema',
    text: () => provider1({ residency: { ...next().providers[0]?.residency, selfDeclared: true } }),
  },
  {
    what: 'a digest of another content',
    code: 'policy.digest',
    text: () => forged({ digests: { site: `sha256:${'0'.repeat(64)}` } }),
  },
  {
    what: 'a digest of a part that is not there',
    code: 'policy.digest',
    text: () => forged({ digests: { 'policies/none': `sha256:${'0'.repeat(64)}` } }),
  },
  {
    what: 'a model at an endpoint that is not there',
    code: 'policy.reference',
    text: () => models([{ endpoint: 'home/other', weight: 1 }]),
  },
  {
    what: 'a model that is served by itself',
    code: 'policy.reference',
    text: () => models([{ endpoint: 'chat', weight: 1 }]),
  },
  { what: 'a model that is served nowhere', code: 'policy.reference', text: () => models([]) },
  {
    what: 'an endpoint twice',
    code: 'policy.reference',
    text: () =>
      models([
        { endpoint: 'home/m', weight: 1 },
        { endpoint: 'home/m', weight: 9 },
      ]),
  },
  {
    what: 'a pack that is not in it',
    code: 'policy.reference',
    text: () => site1({ packs: ['default', 'finance-jp'] }),
  },
  { what: 'a pack that it does not name', code: 'policy.reference', text: () => site1({ packs: [] }) },
  {
    what: 'a threshold that its keys cannot reach',
    code: 'policy.reference',
    text: () => site1({ signers: { threshold: 4, keys: TWO_OF_THREE.keys } }),
  },
  {
    what: 'a signer twice',
    code: 'policy.reference',
    text: () => site1({ signers: { threshold: 2, keys: [vkeyOf(ada), vkeyOf(ada)] } }),
  },
  {
    what: 'one key under two names',
    code: 'policy.signer_repeated',
    text: () => site1({ signers: { threshold: 2, keys: [vkeyOf(ada), vkeyOf(renamed(ada))] } }),
  },
  {
    what: 'a signer whose key id does not fit',
    code: 'policy.signer_key',
    text: () => site1({ signers: { threshold: 1, keys: [vkeyOf(ada).replace(ada.vkey.id, '00000000')] } }),
  },
  { what: 'a rule that is no Cedar', code: 'policy.invalid', text: () => policy('permit everything') },
  {
    what: 'a rule over a fact that does not exist',
    code: 'policy.invalid',
    text: () => policy('permit (principal, action, resource) when { context.friend };'),
  },
  {
    what: 'a denial without reasons',
    code: 'policy.invalid',
    text: () => policy('forbid (principal, action, resource);'),
  },
  {
    what: 'a rule with a type error',
    code: 'policy.invalid',
    text: () => policy(`${REASONS}forbid (principal, action, resource) when { context.site.posture > 3 };`),
  },
  {
    what: 'tests of its own that do not hold',
    code: 'policy.tests',
    text: () =>
      forged({ policies: { own: `${REASONS}forbid (principal, action, resource);` }, tests: [WISHED] }),
  },
  { what: 'another site', code: 'policy.site_name', text: () => site1({ name: 'localhost/other' }) },
  { what: 'what runs already', code: 'policy.already_running', text: () => signedBy(running, ada, ben) },
  { what: 'version 1 replayed', code: 'policy.replayed', text: () => signedBy(versionOne, first) },
  {
    what: 'the same version with another content',
    code: 'policy.version',
    text: () =>
      forged({
        version: running.version,
        tests: [],
        purposes: [],
        policies: { own: 'permit (principal, action, resource) when { false };' },
      }),
  },
  {
    what: 'an older version with another content',
    code: 'policy.version',
    text: () => forged({ version: 1 }),
  },
  { what: 'no signature but an empty line', code: 'policy.note', text: () => `${unsignedText(next())}\n` },
  { what: 'no signature', code: 'policy.unsigned', text: () => unsignedText(next()) },
  { what: 'one signature of two', code: 'policy.under_signed', text: () => signedBy(next(), ada) },
  {
    what: 'one signature twice',
    code: 'policy.signed_twice',
    text: () => signedBy(next(), ada) + signatureLine(unsignedText(next()), ada),
  },
  {
    what: 'one signature and a stranger’s',
    code: 'policy.signer_outside',
    text: () => signedBy(next(), ada, stranger),
  },
  {
    what: 'the signer of an earlier bundle',
    code: 'policy.signer_outside',
    text: () => signedBy(next(), first),
  },
  {
    what: 'signers that the new bundle itself names',
    code: 'policy.signer_outside',
    text: () => signedBy(after(running, { by: { threshold: 1, keys: [vkeyOf(stranger)] } }), stranger),
  },
  {
    what: 'another key under a signer’s name',
    code: 'policy.signer_outside',
    text: () => signedBy(next(), ada, impostor(ben)),
  },
  {
    what: 'another key under a signer’s name and key id',
    code: 'policy.signature',
    text: () => rawSigned(unsignedText(next()), ada, masked(ben)),
  },
  { what: 'a bit of a signature', code: 'policy.signature', text: () => tamperedSignature() },
  {
    what: 'signatures of another bundle',
    code: 'policy.signature',
    text: () =>
      good().replace(
        /^.*\n/,
        unsignedText(
          after(running, {
            purposes: [],
            policies: { own: 'permit (principal, action, resource) when { false };' },
          }),
        ),
      ),
  },
  {
    what: 'enough signatures and one more that does not verify',
    code: 'policy.signature',
    text: () => good() + signatureLine('another text', cho),
  },
  {
    what: 'a stop that allows something',
    code: 'policy.under_signed',
    text: () =>
      signedBy(
        after(running, { ...stop(), policies: { own: 'permit (principal, action, resource);' } }),
        ada,
      ),
  },
  {
    what: 'a stop with other signers',
    code: 'policy.under_signed',
    text: () => signedBy(after(running, { ...stop(), by: { threshold: 1, keys: [vkeyOf(ada)] } }), ada),
  },
  {
    what: 'a stop far ahead of what runs',
    code: 'policy.under_signed',
    text: () => signedBy(after(running, { ...stop(), version: 1_000_000 }), ada),
  },
  {
    what: 'a stop with another posture',
    code: 'policy.under_signed',
    text: () => signedBy(after(running, { ...stop(), site: { ...stop().site, posture: 'public' } }), ada),
  },
  {
    what: 'a stop signed by a stranger',
    code: 'policy.signer_outside',
    text: () => signedBy(stop(), stranger),
  },
  {
    what: 'a secret that the process does not have',
    code: 'gateway.secret_missing',
    text: () => provider1({ secret: 'none' }),
  },
  {
    what: 'a kind of provider that nobody speaks',
    code: 'gateway.unknown_kind',
    text: () => provider1({ kind: 'telepathy' }),
  },
];

/** The stop, built from the bundle that runs. */
function stop(): Bundle {
  return emergencyBundle(running);
}

/** The same key under another name, which gives another key id. */
function renamed(signer: NoteSigner): NoteSigner {
  return signerFromSeed('test/alias', Buffer.alloc(32, signer.vkey.name.slice('test/'.length)));
}

function impostor(signer: NoteSigner): NoteSigner {
  return signerFromSeed(signer.vkey.name, Buffer.alloc(32, 7));
}

function masked(signer: NoteSigner): NoteSigner {
  return { vkey: signer.vkey, secret: impostor(signer).secret };
}

function tamperedSignature(): string {
  const text = good();
  const at = text.length - 20;
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
}

for (const { what, code, text } of CASES)
  test(`refuses ${what}: ${code}`, async () => {
    const before = await leafCount();
    const reply = await applyTo(site, text());
    assert.equal(codeOf(reply), code, reply.text);
    assert.ok(reply.status >= 400 && reply.status < 500, reply.text);
    assert.equal(bundleHash(await runningOf(site)), bundleHash(running));
    assert.equal(await leafCount(), before);
  });

async function leafCount(): Promise<number> {
  return Number(/^sekisho_ledger_entries (\d+)$/m.exec((await site.call('/metrics')).text)?.[1]);
}
