import { readFile } from 'node:fs/promises';
import type { Io } from './io.ts';
import { verifyCommand } from './verify.ts';

/** `sekisho verify` on this machine's files. */
export async function runVerify(args: readonly string[], io: Io): Promise<number> {
  const { logKey, locale } = io.env;
  return verifyCommand(args, {
    out: (text) => io.out(text),
    err: (text) => io.err(text),
    env: { LANG: locale, ...(logKey === null ? {} : { SEKISHO_LOG_KEY: logKey }) },
    readFile: async (path) => readFile(path),
  });
}
