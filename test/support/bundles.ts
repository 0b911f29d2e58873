import assert from 'node:assert/strict';
import { createHash, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { formatVkey, parseSigner, signerFromSeed, type NoteSigner } from '../../src/ledger/note.ts';
import { buildBundle, bundleHash } from '../../src/policy/bundle.ts';
import type { Bundle, Drafts, Signers } from '../../src/policy/types.ts';
import { addSignature, parseAny, unsignedText } from '../../src/server/signed-bundle.ts';
import { allLeaves } from './observe.ts';
import { startProvider } from './provider.ts';
import { oneModel } from './road.ts';
import { startSite, type Reply, type Site } from './site.ts';

/** A signer that only tests know; the same letter gives the same key. */
export function signerNamed(name: string): NoteSigner {
  return signerFromSeed(`test/${name}`, Buffer.alloc(32, name));
}

export function vkeyOf({ vkey }: NoteSigner): string {
  return formatVkey(vkey);
}

/** The signer that the first start of a site made. */
export function firstSigner(site: Pick<Site, 'data'>): NoteSigner {
  return parseSigner(readFileSync(path.join(site.data, 'keys', 'policy-signer.key'), 'utf8').trim());
}

export async function runningOf(site: Site): Promise<Bundle> {
  const reply = await site.call('/api/v1/policy/running');
  assert.equal(reply.status, 200, reply.text);
  return parseAny(reply.text).bundle;
}

/** What follows `before`: its content with changes, one version higher unless told. */
export function after(
  before: Bundle,
  change: Partial<Drafts> & { readonly version?: number; readonly by?: Signers } = {},
): Bundle {
  const { version = before.version + 1, by = before.site.signers, ...drafts } = change;
  return buildBundle({ ...before, ...drafts, signers: null }, { version, signers: by });
}

export function signedBy(bundle: Bundle, ...signers: readonly NoteSigner[]): string {
  let text = unsignedText(bundle);
  for (const signer of signers) text = addSignature(text, signer);
  return text;
}

export async function applyTo(
  site: Site,
  text: string,
  how: { readonly query?: string; readonly key?: string } = {},
): Promise<Reply> {
  return site.call(`/api/v1/policy/apply${how.query ?? ''}`, {
    method: 'POST',
    body: text,
    headers: {
      'content-type': 'text/plain',
      ...(how.key === undefined ? {} : { authorization: `Bearer ${how.key}` }),
    },
  });
}

/** Applies and must succeed. */
export async function applied(
  site: Site,
  bundle: Bundle,
  ...signers: readonly NoteSigner[]
): Promise<Bundle> {
  const reply = await applyTo(site, signedBy(bundle, ...signers));
  assert.equal(reply.status, 200, reply.text);
  assert.equal((JSON.parse(reply.text) as { hash: string }).hash, bundleHash(bundle));
  return bundle;
}

/** The decisions of a log in its order, each with the bundle that the leaves before it say is running. */
export async function decisionsOf(
  site: Site,
): Promise<readonly { readonly by: string; readonly runs: string }[]> {
  let runs = '';
  const decisions: { by: string; runs: string }[] = [];
  for (const leaf of await allLeaves(site)) {
    if (leaf['kind'] === 'bundle') runs = String(leaf['bundle']);
    if (leaf['kind'] === 'decision') decisions.push({ by: String(leaf['bundle']), runs });
  }
  return decisions;
}

/** A signed note over any text, as somebody with a program of their own could write it. */
export function rawSigned(text: string, ...signers: readonly NoteSigner[]): string {
  return `${text}\n${signers.map((signer) => signatureLine(text, signer)).join('')}`;
}

export function signatureLine(text: string, { vkey, secret }: NoteSigner): string {
  const signature = Buffer.concat([Buffer.from(vkey.id, 'hex'), sign(null, Buffer.from(text), secret)]);
  return `\u2014 ${vkey.name} ${signature.toString('base64')}\n`;
}

/** RFC 8785 for the values of a bundle, and whatever a forger puts into one. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${canonical(each)}`).join(',')}}`;
}

/** The bundle as one line, with members changed and every digest made to fit. */
export function forgedText(bundle: Bundle, change: Readonly<Record<string, unknown>>): string {
  const forged = { ...bundle, ...change };
  const parts: Record<string, unknown> = {
    site: forged.site,
    models: forged.models,
    purposes: forged.purposes,
    tests: forged.tests,
  };
  for (const provider of forged.providers) parts[`providers/${provider.id}`] = provider;
  for (const [id, text] of Object.entries(forged.policies)) parts[`policies/${id}`] = text;
  for (const [name, pack] of Object.entries(forged.packs)) parts[`packs/${name}`] = pack;
  const digests = Object.entries(parts).map(([name, part]) => [name, digestOf(part)] as const);
  return `${canonical({ ...forged, digests: { ...Object.fromEntries(digests), ...Object(change['digests']) } })}\n`;
}

function digestOf(part: unknown): string {
  return `sha256:${createHash('sha256').update(canonical(part)).digest('hex')}`;
}

/** A site whose running bundle is version 2, of which two of three signers must sign the next. */
export interface TwoOfThree extends AsyncDisposable {
  readonly site: Site;
  readonly first: NoteSigner;
  readonly versionOne: Bundle;
  readonly running: Bundle;
}

export const [ada, ben, cho] = [signerNamed('ada'), signerNamed('ben'), signerNamed('cho')];
export const TWO_OF_THREE: Signers = { threshold: 2, keys: [ada, ben, cho].map(vkeyOf) };

export async function startTwoOfThree(): Promise<TwoOfThree> {
  await using starting = new AsyncDisposableStack();
  const provider = starting.use(await startProvider());
  const site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  starting.defer(async () => void (await site.stop()));
  const first = firstSigner(site);
  const versionOne = await runningOf(site);
  const running = await applied(site, after(versionOne, { by: TWO_OF_THREE }), first);
  const held = starting.move();
  const end = async (): Promise<void> => held.disposeAsync();
  return { site, first, versionOne, running, [Symbol.asyncDispose]: end };
}

export function codeOf(reply: Reply): unknown {
  return (JSON.parse(reply.text) as { code: unknown }).code;
}
