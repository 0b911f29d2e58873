import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { syncFolder } from '../core/durable.ts';
import { Fault } from '../core/fault.ts';
import { buildBundle, bundleHash, encodeBundle, MAX_BUNDLE_BYTES, parseBundle } from './bundle.ts';
import { createPolicyEngine } from './engine.ts';
import { requirePolicyTests } from './policy-tests.ts';
import type { Bundle, Drafts } from './types.ts';

const RUNNING = 'running.json';
const HISTORY = 'history';

/**
 * Version 1 of a site: its drafts, signed for by the one signer that the first start makes. Signers that the drafts
 * name come into force with the first bundle that this signer signs. `now` (ms since 1970) serves tests without a time.
 * @throws Fault kind `invalid` code `policy.draft` or `policy.invalid` when the drafts cannot run, `policy.tests` when
 * one of their own tests does not hold.
 */
export function firstBundle(drafts: Drafts, signerVkey: string, now: number): Bundle {
  const bundle = buildBundle(drafts, { version: 1, signers: { threshold: 1, keys: [signerVkey] } });
  // What cannot decide must not be adopted: it would deny everything from the next start on.
  requirePolicyTests(createPolicyEngine(bundle), now);
  return bundle;
}

/**
 * The bundle that runs, or null before the first start adopted one.
 * @throws Fault kind `invalid` code `policy.bundle` when it cannot be used, `unavailable` code `policy.storage` when
 * it cannot be read: a site without rules must not start, and drafts must not step into their place.
 */
export async function loadRunningBundle(dir: string): Promise<Bundle | null> {
  try {
    const { size } = await stat(join(dir, RUNNING));
    if (size > MAX_BUNDLE_BYTES)
      throw new Fault(
        'invalid',
        'policy.bundle',
        `unusable bundle: expected at most ${MAX_BUNDLE_BYTES} bytes`,
      );
    return parseBundle(await readFile(join(dir, RUNNING)));
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    if (!isMissing(cause)) throw unreadable(dir, cause);
  }
  return finishFirstAdoption(dir);
}

/**
 * Makes `bundle` the one that runs and keeps its bytes in the history; durable when it returns. A crash leaves the
 * bundle that ran before.
 * @throws Fault kind `conflict` code `policy.version` when a bundle of this or a higher version runs already.
 */
export async function adoptBundle(dir: string, bundle: Bundle): Promise<void> {
  const history = join(dir, HISTORY);
  await makeDurably(dir, history);
  const running = await runningVersion(dir);
  if (running >= bundle.version)
    throw new Fault(
      'conflict',
      'policy.version',
      `version ${running} runs, expected more, found ${bundle.version}`,
    );
  const bytes = encodeBundle(bundle);
  const kept = `${String(bundle.version).padStart(8, '0')}-${bundleHash(bundle).slice(-16)}.json`;
  await writeDurably(history, kept, bytes);
  await writeDurably(dir, RUNNING, bytes);
}

async function runningVersion(dir: string): Promise<number> {
  return (await loadRunningBundle(dir))?.version ?? 0;
}

// Without a running bundle, a history of version 1 alone is a first start that crashed, and is finished; drafts must
// not be read again. A longer history means that somebody took the running bundle away.
async function finishFirstAdoption(dir: string): Promise<Bundle | null> {
  const history = join(dir, HISTORY);
  const kept = (await namesIn(history)).filter((name) => name.endsWith('.json'));
  const [only] = kept;
  if (only === undefined) return null;
  if (kept.length > 1)
    throw new Fault(
      'invalid',
      'policy.bundle',
      `${join(dir, RUNNING)} is missing although ${history} holds several versions; restore it from there`,
    );
  const bytes = await readFile(join(history, only));
  const bundle = parseBundle(bytes);
  await writeDurably(dir, RUNNING, bytes);
  return bundle;
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw unreadable(dir, cause);
  }
}

async function makeDurably(dir: string, history: string): Promise<void> {
  try {
    await mkdir(history, { recursive: true, mode: 0o700 });
    await syncFolder(dirname(dir));
  } catch (cause) {
    throw unwritable(history, cause);
  }
}

async function writeDurably(dir: string, name: string, bytes: Buffer): Promise<void> {
  const temporary = join(dir, `${name}.tmp`);
  try {
    await rm(temporary, { force: true });
    await using file = await open(temporary, 'wx', 0o600);
    await file.writeFile(bytes);
    await file.sync();
    await rename(temporary, join(dir, name));
    await syncFolder(dir);
  } catch (cause) {
    throw unwritable(dir, cause);
  }
}

function unwritable(dir: string, cause: unknown): Fault {
  return new Fault('unavailable', 'policy.storage', `the bundle could not be written under ${dir}`, {
    cause,
  });
}

function unreadable(dir: string, cause: unknown): Fault {
  return new Fault('unavailable', 'policy.storage', `the bundle under ${dir} could not be read`, { cause });
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}
