import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLog, type Log } from '../../src/core/log.ts';
import { systemWorld, type World } from '../../src/core/world.ts';
import { openDatabase, type Database } from '../../src/storage/database.ts';
import { realDisk, syncingFile, type Disk, type DiskFile } from '../../src/ledger/disk.ts';
import type { DecisionLeaf, OutcomeLeaf } from '../../src/ledger/leaf.ts';
import { openLedger } from '../../src/ledger/open.ts';
import { rotateLedger, type Rotation, type RotationPlan } from '../../src/ledger/rotate.ts';
import type { Ledger, RoadKeys } from '../../src/ledger/types.ts';

/** A data directory of its own; `open` may be called again after `close`. */
export interface TestSite extends AsyncDisposable {
  readonly top: string;
  readonly dir: string;
  readonly anchorDir: string;
  open(options?: TestOptions): Promise<Ledger>;
  close(): Promise<void>;
  /** Gives the closed site's log a new key. */
  rotate(plan: RotationPlan, options?: TestOptions): Promise<Rotation>;
}

export interface TestOptions {
  readonly world?: World;
  readonly io?: Disk;
  readonly log?: Log;
  readonly anchorDir?: string | null;
  readonly anchorOptional?: boolean;
  readonly machine?: string | null;
  readonly adoptMachine?: boolean;
  readonly keysDir?: string;
  readonly segmentBytes?: number;
}

export const SEGMENT_BYTES = 256 << 10;

export function testSite(): TestSite {
  return siteAt(mkdtempSync(join(tmpdir(), 'sekisho-ledger-')));
}

/** The site in a folder that exists; disposing of it removes the folder. */
export function siteAt(top: string): TestSite {
  const anchorDir = join(top, 'anchor');
  let opened: AsyncDisposableStack | null = null;
  const close = async (): Promise<void> => {
    const resources = opened;
    opened = null;
    await resources?.disposeAsync();
  };
  const place = {
    dir: join(top, 'data', 'ledger'),
    keysDir: join(top, 'data', 'keys'),
    anchorDir,
    site: 'localhost/test',
    world: systemWorld(),
    log: silentLog,
    segmentBytes: SEGMENT_BYTES,
  };
  const openIndex = (): Promise<Database> => openDatabase({ url: 'sqlite', dir: join(top, 'data') });
  return {
    top,
    dir: place.dir,
    anchorDir,
    close,
    async open(options = {}) {
      await using resources = new AsyncDisposableStack();
      const database = resources.use(await openIndex());
      const ledger = await openLedger({ ...place, database, ...options });
      resources.use(ledger);
      opened = resources.move();
      return ledger;
    },
    async rotate(plan, options = {}) {
      await using database = await openIndex();
      return await rotateLedger({ ...place, database, ...options }, plan);
    },
    async [Symbol.asyncDispose]() {
      await close();
      rmSync(top, { recursive: true, force: true });
    },
  };
}

/** A system world in which nobody sleeps longer than a few ms, so that rounds and probes come at once. */
export function hurriedWorld(): World {
  const system = systemWorld();
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    system.clock.sleep(Math.min(ms, 5), signal);
  return { ...system, clock: { ...system.clock, sleep } };
}

/** A system world whose clock stands until `advance`. */
export function steppedWorld(start: number): World & { advance(ms: number): void } {
  const system = systemWorld();
  let now = start;
  return {
    ...system,
    clock: { ...system.clock, now: () => now },
    advance(ms) {
      now += ms;
    },
  };
}

export const OWNER = { tenant: 'org_test', caller: 'key_test' };

/** Opens a road with a fresh id. */
export function newRoad(ledger: Ledger, rid = systemWorld().ids.receipt()): RoadKeys {
  return ledger.openRoad(rid, OWNER);
}

/** What of a ledger goes into a leaf. */
type LeafSource = Pick<Ledger, 'origin' | 'time'>;

export function decision(ledger: LeafSource, keys: RoadKeys, more: Partial<DecisionLeaf> = {}): DecisionLeaf {
  const body = 'the request';
  return {
    v: 1,
    kind: 'decision',
    rid: keys.rid,
    attempt: 1,
    prev: null,
    t: ledger.time(),
    log: ledger.origin,
    bundle: `sha256:${'0'.repeat(64)}`,
    action: 'infer',
    surface: 'openai',
    model: 'chat',
    label: { conf: 2, categories: [] },
    purpose: null,
    effect: 'allow',
    considered: [],
    to: {
      endpoint: 'local/toy',
      operator: 'test',
      country: 'JP',
      posture: 'private',
      selfDeclared: true,
      expires: 4102444800000,
    },
    c: {
      in: keys.commit('in', body),
      req: keys.commit('req', body),
      caller: keys.commit('caller', OWNER.caller),
      tenant: keys.commit('tenant', OWNER.tenant),
    },
    ...more,
  };
}

export function outcome(
  ledger: LeafSource,
  keys: RoadKeys,
  more: Partial<OutcomeLeaf> & { readonly of: number },
): OutcomeLeaf {
  return {
    v: 1,
    kind: 'outcome',
    rid: keys.rid,
    attempt: 1,
    t: ledger.time(),
    status: 'ok',
    code: null,
    http: 200,
    observed: null,
    in: 16,
    out: 16,
    c: { res: keys.commit('res', 'the answer'), peer: null },
    attempts: 1,
    ...more,
  };
}

/** One whole road; gives its id and the indices of its two leaves. */
export async function wholeRoad(ledger: Ledger): Promise<{ rid: string; decision: number; outcome: number }> {
  const keys = newRoad(ledger);
  const first = await ledger.appendRoad(keys, decision(ledger, keys));
  const second = await ledger.appendRoad(keys, outcome(ledger, keys, { of: first }));
  return { rid: keys.rid, decision: first, outcome: second };
}

/**
 * A disk on which `fault` may throw before an operation, or take its place by giving false. A synced write is two
 * operations, `write` and `datasync`, so that each may fail alone.
 */
export function plantedDisk(fault: (operation: string, path: string) => boolean | void): Disk {
  const file = (inner: DiskFile, path: string): DiskFile => ({
    ...inner,
    async write(bytes, position) {
      if (fault('write', path) !== false) await inner.write(bytes, position);
    },
    async datasync() {
      if (fault('datasync', path) !== false) await inner.datasync();
    },
  });
  return {
    ...realDisk,
    async open(path, how) {
      fault('open', path);
      const planted = file(await realDisk.open(path, 'update'), path);
      return how === 'synced' ? syncingFile(planted) : planted;
    },
    async replace(path, bytes, mode) {
      if (fault('replace', path) !== false) await realDisk.replace(path, bytes, mode);
    },
    async rename(from, to) {
      if (fault('rename', to) !== false) await realDisk.rename(from, to);
    },
    async remove(path) {
      if (fault('remove', path) !== false) await realDisk.remove(path);
    },
    async sync(path) {
      if (fault('sync', path) !== false) await realDisk.sync(path);
    },
  };
}

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: planted`), { code });
}
