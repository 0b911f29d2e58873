import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Fault } from '../../src/core/fault.ts';
import { realDisk, type Disk } from '../../src/ledger/disk.ts';
import { tilePath, tileWidth } from '../../src/ledger/tile-path.ts';
import { HASH_BYTES, TILE_WIDTH, TreeEdge } from '../../src/ledger/tree.ts';
import type { Ledger } from '../../src/ledger/types.ts';
import { verifyReceipt } from '../../src/ledger/verify/index.ts';
import { decision, hurriedWorld, newRoad, outcome, siteAt, testSite } from './ledger-site.ts';
import type { TestSite } from './ledger-site.ts';
import { PowerDisk } from './power-disk.ts';
import { ROOT } from './source.ts';

/** What clients were told, and when the log did not hold to it. */
export class Told {
  readonly taken = new Set<string>();
  readonly open = new Set<string>();
  /** Signed notes. */
  readonly heads = new Set<string>();
}

export interface Found {
  receipts: number;
  losses: number;
  forks: number;
}

const CALLERS = 6;
const CHILD = path.join(ROOT, 'test', 'support', 'ledger-child.ts');

/** Compares a log that was opened again with what clients were told of it. */
export async function audit(ledger: Ledger, told: Told, found: Found): Promise<void> {
  for (const rid of told.open) {
    found.receipts += 1;
    const receipt = await ledger.receipt(rid);
    const bytes = Buffer.from(JSON.stringify(receipt));
    const verdict = receipt === null ? null : await verifyReceipt(bytes, { vkeys: [ledger.vkey] }, {});
    const keys = Object.keys((await ledger.opening(rid)) ?? {}).length;
    const isWhole = !told.taken.has(rid) || (verdict?.state === 'closed' && keys === 3);
    if (verdict?.verdict !== 'valid' || keys === 0 || !isWhole) found.losses += 1;
  }
  const roots = await rootsOf(ledger);
  for (const note of told.heads) {
    const [, size = '', root = ''] = note.split('\n');
    if (roots.get(Number(size)) !== root) found.forks += 1;
  }
}

async function rootsOf(ledger: Ledger): Promise<ReadonlyMap<number, string>> {
  const roots = new Map<number, string>();
  const size = Number((await ledger.checkpoint()).split('\n')[1]);
  const edge = new TreeEdge(() => {});
  for (let number = 0; number * TILE_WIDTH < size; number++) {
    const tile = await ledger.tile(tilePath({ level: 0, number, width: tileWidth(0, number, size) }));
    for (let at = 0; at < (tile?.length ?? 0); at += HASH_BYTES) {
      edge.append(tile?.toString('latin1', at, at + HASH_BYTES) ?? '');
      roots.set(edge.size, Buffer.from(edge.root(), 'latin1').toString('base64'));
    }
  }
  return roots;
}

/** Records roads until `isOver` or the log refuses. */
async function record(ledger: Ledger, told: Told, isOver: () => boolean): Promise<void> {
  const caller = async (): Promise<void> => {
    while (!isOver()) {
      const keys = newRoad(ledger);
      const of = await ledger.appendRoad(keys, decision(ledger, keys));
      told.open.add(keys.rid);
      await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
      told.taken.add(keys.rid);
      const receipt = of % 3 === 0 ? await ledger.receipt(keys.rid) : null;
      if (receipt !== null) told.heads.add(receipt.checkpoint);
    }
  };
  await Promise.allSettled(Array.from({ length: CALLERS }, caller));
}

/** Power fails at a random moment of recording, several times over the same disk. */
export async function powerTrial(random: () => number, found: Found, lies = false): Promise<void> {
  await using site = testSite();
  const told = new Told();
  let disk = new PowerDisk({ random, lies });
  const world = hurriedWorld();
  const ledger = await site.open({ io: disk, world });
  let isCut = false;
  const recording = record(ledger, told, () => isCut);
  await delay(random() * 60);
  disk = disk.cut();
  isCut = true;
  await recording;
  await site.close().catch(() => {});
  try {
    await audit(await site.open({ io: disk, world }), told, found);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // A log that is refused gives no receipt to anybody.
    found.receipts += told.open.size;
    found.losses += Math.max(1, told.open.size);
  }
}

/** A recording process is killed at a random moment. */
export async function killTrial(random: () => number, found: Found): Promise<void> {
  await using site = testSite();
  const child = spawn(process.execPath, [CHILD, site.top], { stdio: ['ignore', 'pipe', 'inherit'] });
  const told = new Told();
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    if (text === '') void delay(random() * 200).then(() => child.kill('SIGKILL'));
    text += piece;
  });
  await once(child, 'close');
  for (const line of text.split('\n').slice(0, -1)) {
    const rest = line.slice(line.indexOf(' ') + 1);
    if (line.startsWith('open ')) told.open.add(rest);
    if (line.startsWith('taken ')) told.taken.add(rest);
    if (line.startsWith('head ')) told.heads.add(String(JSON.parse(rest)));
  }
  await audit(await site.open(), told, found);
}

/** The site is copied, with its anchor or beside it, and both are started, one after the other. */
export async function cloneTrial(random: () => number, found: Found, io: Disk = realDisk): Promise<void> {
  await using site = testSite();
  const told = new Told();
  await some(site, told, { io }, random);
  const copy = mkdtempSync(path.join(tmpdir(), 'sekisho-clone-'));
  cpSync(site.top, copy, { recursive: true });
  await using clone = siteAt(copy);
  const anchorDir = random() < 0.5 ? site.anchorDir : clone.anchorDir;
  const pair = [
    { site, how: { io } },
    { site: clone, how: { io, anchorDir } },
  ];
  if (random() < 0.5) pair.reverse();
  const survivors: typeof pair = [];
  for (const one of pair) if (await some(one.site, told, one.how, random)) survivors.push(one);
  const [survivor] = survivors;
  if (survivor === undefined) found.losses += told.open.size;
  else await audit(await survivor.site.open(survivor.how), told, found);
}

/** False when the start is refused, as a copy must be. */
async function some(
  site: TestSite,
  told: Told,
  how: { readonly io: Disk; readonly anchorDir?: string },
  random: () => number,
): Promise<boolean> {
  try {
    const ledger = await site.open(how);
    const end = told.open.size + 2 + Math.floor(random() * 20);
    await record(ledger, told, () => told.open.size >= end);
    told.heads.add(await ledger.checkpoint());
    await site.close();
    return true;
  } catch (error) {
    if (error instanceof Fault && /^ledger\.(?:cloned|rolled_back|forked)$/.test(error.code)) return false;
    throw error;
  }
}

/** A disk on which every copy of a file looks like the file. */
export const blindDisk: Disk = {
  ...realDisk,
  async open(at, how) {
    return { ...(await realDisk.open(at, how)), identity: async () => '' };
  },
};
