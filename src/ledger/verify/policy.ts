import { decodeUtf8 } from './strict-json.ts';
import { Defect } from './findings.ts';
import type { Vkey } from './vkey.ts';
import { parseVkey } from './vkey.ts';

/**
 * The vkeys of a C2SP tlog-policy's `log <vkey> [url]` lines, any of which may have signed.
 * @throws Defect exit 2 for every other line, since no witness can be judged yet, for a malformed or repeated key and
 * when there is no log.
 */
export function parsePolicy(policy: Uint8Array): readonly string[] {
  const text = decodeUtf8(policy);
  // oxlint-disable-next-line eslint/no-control-regex -- C2SP tlog-policy "Character set"
  if (text === null || /[\u0000-\u0008\u000b-\u001f\u007f]/.test(text))
    throw unusable('expected UTF-8 text without control characters');
  const logs = text.split('\n').flatMap(logOfLine);
  if (logs.length === 0) throw unusable('expected a "log" line');
  refuseRepeated(logs.map(parseVkey));
  return logs;
}

function logOfLine(line: string, at: number): string[] {
  const items = line.split(/[ \t]+/).filter((item) => item !== '');
  const [keyword, vkey] = items;
  if (keyword === undefined || keyword.startsWith('#')) return [];
  if (keyword !== 'log' || vkey === undefined || items.length > 3)
    throw unusable(`line ${at + 1}: expected "log <vkey> [url]"`);
  return [vkey];
}

// Two names for one key would let a policy look broader than it is (C2SP tlog-policy "Defining a log").
function refuseRepeated(logs: readonly Vkey[]): void {
  const keys = new Set(logs.map((log) => log.publicKey.join()));
  if (keys.size < logs.length) throw unusable('a log key stands in it twice');
}

function unusable(why: string): Defect {
  return new Defect(2, `unusable policy: ${why}`);
}
