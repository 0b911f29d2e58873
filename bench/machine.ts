import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import os from 'node:os';

/** What Linux counts process times in. */
const TICKS_PER_SECOND = 100;
/** statfs(2): a file system in memory, on which a sync costs nothing and proves nothing. */
const TMPFS_MAGIC = 0x01021994;
const TASKSET = 'taskset';

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** Of the last minute, before anything was measured. */
  readonly load: number;
  /** Whether the site has a core of its own, away from load and provider. */
  readonly pinned: boolean;
  /** The folder of temporary files lies in memory. */
  readonly inMemory: boolean;
}

export function describeMachine(): Machine {
  const cpus = os.cpus();
  return {
    cores: cpus.length,
    model: cpus[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    load: loadAverage(),
    pinned: pinTo('site').length > 0,
    inMemory: statfsSync(os.tmpdir()).type === TMPFS_MAGIC,
  };
}

/** Processes that wanted to run in the last minute. */
export function loadAverage(): number {
  return os.loadavg()[0] ?? NaN;
}

/** The words before a command that keep it on its core; none where that cannot be done. */
export function pinTo(what: 'site' | 'load'): readonly string[] {
  if (os.cpus().length < 2 || spawnSync(TASKSET, ['--version']).status !== 0) return [];
  return [TASKSET, '-c', what === 'site' ? '0' : '1'];
}

/** Microseconds of CPU that a process has used, in user and kernel mode; Linux only. */
export function cpuMicroseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  // proc(5): utime and stime are fields 14 and 15, and the second field ends with the bracket.
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS_PER_SECOND;
}

/** Resident memory of a process in bytes; Linux only. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

/** A process and everything below it. */
export function processTree(pid: number): readonly number[] {
  const tree = [pid];
  for (let at = 0; at < tree.length; at++) tree.push(...childrenOf(tree[at] ?? 0));
  return tree;
}

/** The most memory in bytes that a process ever held resident; Linux only. */
export function peakBytes(pid: number): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' '))
    .filter((child) => child !== '')
    .map(Number);
}
