import { readFile } from 'node:fs/promises';
import type { Io } from './io.ts';
import { verifyCommand } from './verify.ts';

/** `sekisho verify` on this machine's files. */
export async function runVerify(args: readonly string[], io: Io): Promise<number> {
  const { logKey, locale } = io.env;
  return verifyCommand(args, {
    out: io.out,
    err: io.err,
    env: { LANG: locale, ...(logKey === null ? {} : { SEKISHO_LOG_KEY: logKey }) },
    readFile: async (path) => readFile(path),
  });
}
