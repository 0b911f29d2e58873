// Runs a site as `sekisho up` does, with a part of the machine replaced by one that fails: argument --plant names it.
import dns from 'node:dns';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DAY, HOUR } from '../../src/core/duration.ts';
import { readEnv } from '../../src/core/env.ts';
import { jsonLog } from '../../src/core/log.ts';
import { systemWorld } from '../../src/core/world.ts';
import type { World } from '../../src/core/world.ts';
import { realDisk, syncingFile } from '../../src/ledger/disk.ts';
import type { Disk, DiskFile } from '../../src/ledger/disk.ts';
import { serve } from '../../src/server/serve.ts';
import { openSite } from '../../src/server/site.ts';
import { defaultAnchorDir, modelsDir, resolveConfig } from '../../src/server/start.ts';

/** Long enough, in ms, for a dispatch that does not wait to be through. */
const LATE = 200;
/** What a leak keeps of each request. */
const LEAK_BYTES = 64 << 10;

const plant = process.env['PLANT'];
const { values } = parseArgs({
  args: process.argv.slice(3),
  options: { config: { type: 'string' }, data: { type: 'string' }, port: { type: 'string' } },
});
if (plant === 'heap' || plant === 'leak') tellHeap();
if (plant === 'leak') leakWhenTold(process.env['LEAK_TO'] ?? '');
const env = readEnv();
const start = resolveConfig(env, { ...values, port: Number(values.port) });
const world =
  plant === 'leak'
    ? leakingWorld()
    : plant === 'clock'
      ? shiftedWorld(-HOUR)
      : plant === 'ahead'
        ? shiftedWorld(DAY)
        : systemWorld();
await using site = await openSite({
  ...start,
  anchorDir: defaultAnchorDir(env),
  modelsDir: modelsDir(env, start.dataDir),
  env,
  world,
  log: jsonLog(world.clock, (line) => void process.stderr.write(line)),
  ...(plant === 'no-sync' ? { disk: hastyDisk(unsynced) } : {}),
  ...(plant === 'late-sync' ? { disk: hastyDisk(syncedLate) } : {}),
});
await using serving = await serve(site);
process.stdout.write(`ready ${serving.url}\n`);
await new Promise<void>((resolve) => process.on('SIGTERM', () => resolve()));

/** SIGUSR2 collects what nobody holds any more and says how much is left, and what the loop still waits for. */
function tellHeap(): void {
  setFlagsFromString('--expose-gc');
  // A context made after the flag was set has the function.
  const collect = runInNewContext('gc') as () => void;
  process.on('SIGUSR2', () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    process.stderr.write(
      `heap ${heapUsed + external} resources ${process.getActiveResourcesInfo().length}\n`,
    );
  });
}

/** SIGUSR2 opens a socket to an address and asks for a name, as a library beside the egress room would. */
function leakWhenTold(address: string): void {
  process.on('SIGUSR2', () => {
    net.connect({ host: address, port: 443 }).on('error', () => {});
    dns.lookup('telemetry.example', () => {});
  });
}

/** A disk whose files sync in another way than they promise. */
function hastyDisk(hasty: (file: DiskFile) => Partial<DiskFile>): Disk {
  return {
    ...realDisk,
    async open(path, how) {
      const file = await realDisk.open(path, 'update');
      const planted = { ...file, ...hasty(file) };
      return how === 'synced' ? syncingFile(planted) : planted;
    },
  };
}

function unsynced(): Partial<DiskFile> {
  return { datasync: async () => {} };
}

/** What is still due when the file is closed is synced first: on a fast machine all of the run is younger than `LATE`. */
function syncedLate(file: DiskFile): Partial<DiskFile> {
  return {
    datasync: async () => void setTimeout(() => void file.datasync().catch(() => {}), LATE),
    close: async () => {
      await file.datasync();
      await file.close();
    },
  };
}

/** A world that keeps something of every request. */
function leakingWorld(): World {
  const system = systemWorld();
  const kept: Buffer[] = [];
  const receipt = (): string => {
    kept.push(Buffer.alloc(LEAK_BYTES, 1));
    return system.ids.receipt();
  };
  return { ...system, ids: { ...system.ids, receipt } };
}

/** A clock that SIGUSR2 moves by so many milliseconds, and the next SIGUSR2 sets right. */
function shiftedWorld(by: number): World {
  const system = systemWorld();
  let shift = 0;
  process.on('SIGUSR2', () => {
    shift = shift === 0 ? by : 0;
    process.stderr.write(`clock ${Math.abs(shift)}\n`);
  });
  return { ...system, clock: { ...system.clock, now: () => system.clock.now() + shift } };
}
