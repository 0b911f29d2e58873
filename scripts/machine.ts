import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

/** What of this machine decides how the suite is prepared. */
export interface MachineFacts {
  readonly debian: boolean;
  readonly root: boolean;
  /** The programs of `LOOKED_FOR` that can be run. */
  readonly programs: ReadonlySet<string>;
  /** Python 3 is here and can make virtual environments with pip in them. */
  readonly pythonVenv: boolean;
}

const LOOKED_FOR = ['chromium', 'strace', 'go', 'python3', 'ip', 'nft'];

export function machineFacts(): MachineFacts {
  const programs = new Set(LOOKED_FOR.filter((name) => findExecutable(name) !== null));
  return {
    debian: existsSync('/etc/debian_version') && findExecutable('apt-get') !== null,
    root: process.getuid?.() === 0,
    programs,
    pythonVenv: programs.has('python3') && pythonHasVenv(),
  };
}

/** Where Debian keeps programs for administrators, which the PATH of others leaves out. */
const ADMIN_FOLDERS = ['/usr/sbin', '/sbin'];

/** The path of a program on PATH or among those for administrators, or null. */
export function findExecutable(name: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  for (const folder of [...folders, ...ADMIN_FOLDERS]) {
    const candidate = path.join(folder, name);
    if (folder !== '' && isExecutable(candidate)) return candidate;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// Debian ships `venv` without `ensurepip` unless python3-venv is installed, so both are asked for.
function pythonHasVenv(): boolean {
  return spawnSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' }).status === 0;
}
