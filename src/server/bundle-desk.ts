import { Fault } from '../core/fault.ts';
import type { Env } from '../core/env.ts';
import type { World } from '../core/world.ts';
import { formatSigner, formatVkey, parseSigner, signerFromSeed } from '../ledger/note.ts';
import { isKeyName } from '../ledger/verify/vkey.ts';
import { buildBundle, bundleHash } from '../policy/bundle.ts';
import { diffBundles, type PartChange } from '../policy/diff.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../policy/drafts.ts';
import { emergencyBundle } from '../policy/emergency.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import type { Bundle, Drafts, Signers } from '../policy/types.ts';
import { addSignature, checkSignerKeys, parseAny, unsignedText } from './signed-bundle.ts';
import { resolveConfig, type StartFlags } from './start.ts';

const SEED_BYTES = 32;

/** A bundle as a person gets to see it, and the file to write. */
export interface BundleFile {
  readonly text: string;
  readonly version: number;
  readonly hash: string;
  readonly signers: Signers;
  readonly digests: Readonly<Record<string, string>>;
}

export type { PartChange } from '../policy/diff.ts';

/** A policy signer's key: the line for its file, and the public key for `site.yaml`. @throws Fault `policy.signer_name`. */
export function newSigner(name: string, world: World): { readonly secret: string; readonly vkey: string } {
  if (!isKeyName(name) || name.length > 256)
    throw new Fault('invalid', 'policy.signer_name', 'a signer’s name has no blanks and no plus signs');
  const seed = world.random.bytes(SEED_BYTES);
  const signer = signerFromSeed(name, seed);
  return { secret: `${formatSigner(signer, seed)}\n`, vkey: formatVkey(signer.vkey) };
}

/** The folder of drafts that a command is about: the one named, else the configuration's. */
export function draftsFolder(env: Env, flags: StartFlags, named: string | null): string {
  return named ?? resolveConfig(env, flags).config.governance ?? EXAMPLE_GOVERNANCE;
}

/**
 * Folds drafts into a bundle that could run. Without `signers` in the drafts those of the running bundle stay.
 * @throws Fault `policy.draft`, `policy.invalid`, `policy.no_signers`, `policy.signer_key`, `policy.signer_repeated`.
 */
export async function foldDrafts(
  folder: string,
  facts: { readonly version: number; readonly running: string | null },
): Promise<BundleFile> {
  const drafts = await loadDrafts(folder);
  const before = facts.running === null ? null : parseAny(facts.running).bundle;
  const signers = drafts.signers ?? before?.site.signers;
  if (signers === undefined) {
    const message = 'site.yaml names no signers; name them, or let the site be asked for those of what runs';
    throw new Fault('invalid', 'policy.no_signers', message);
  }
  return fileOf(checked(drafts, { version: facts.version, signers }));
}

/**
 * The content of a version that ran, as the next version, with the signers of what runs.
 * @throws Fault as `foldDrafts`.
 */
export function foldEarlier(earlier: string, facts: { version: number; running: string }): BundleFile {
  const { bundle } = parseAny(earlier);
  const { signers } = parseAny(facts.running).bundle.site;
  return fileOf(checked({ ...bundle, signers: null }, { version: facts.version, signers }));
}

/** @throws Fault as `parseAny`. */
export function describeBundle(text: string): BundleFile {
  return { ...fileOf(parseAny(text).bundle), text };
}

/** The file with one more signature. @throws Fault `ledger.bad_key`, and as `addSignature`. */
export function signBundle(text: string, secret: string): { readonly text: string; readonly by: string } {
  const signer = parseSigner(secret.trim());
  return { text: addSignature(text, signer), by: formatVkey(signer.vkey) };
}

/** The emergency stop of what runs, signed. @throws Fault as `signBundle` and `emergencyBundle`. */
export function signedStop(running: string, secret: string): string {
  return signBundle(unsignedText(emergencyBundle(parseAny(running).bundle)), secret).text;
}

/** What differs, part by part. @throws Fault as `parseAny`. */
export function compareBundles(before: string, after: string): readonly PartChange[] {
  return diffBundles(parseAny(before).bundle, parseAny(after).bundle);
}

function checked(drafts: Drafts, options: { version: number; signers: Signers }): Bundle {
  checkSignerKeys(options.signers);
  const bundle = buildBundle(drafts, options);
  createPolicyEngine(bundle);
  return bundle;
}

function fileOf(bundle: Bundle): BundleFile {
  const { version, digests, site } = bundle;
  return { text: unsignedText(bundle), version, hash: bundleHash(bundle), signers: site.signers, digests };
}
