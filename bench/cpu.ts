/** Microseconds of CPU that one part of a plain request takes, in user and kernel mode. */
export interface Part {
  readonly name: string;
  /** With many requests at once, which share system calls and syncs. */
  readonly many: number;
  /** With one request at a time. */
  readonly alone: number;
}

const ROUNDS = 10_000;
const WARM_UP = 2_000;

/** A part that computes only, which costs the same however many run at once. */
export function computing(name: string, work: () => void): Part {
  const micros = cpuOf(work);
  return { name, many: micros, alone: micros };
}

/** Microseconds of CPU that this process has used since `before`. */
export function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function cpuOf(work: () => void): number {
  for (let i = 0; i < WARM_UP; i++) work();
  const before = process.cpuUsage();
  for (let i = 0; i < ROUNDS; i++) work();
  return cpuSince(before) / ROUNDS;
}
