import type { FuzzRandom } from './random.ts';

const TOKENS = [
  '\r\n',
  '\n\n',
  '\r\r',
  '\0',
  ' ',
  ':',
  ',',
  '"',
  '\\',
  '{',
  '[',
  '}',
  ']',
  '[DONE]',
  'data: ',
  'data: {"choices":[]}\n\n',
  'content-length: 5\r\n',
  'transfer-encoding: chunked\r\n',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '-1',
  '1e400',
  'null',
  '__proto__',
  '\u{fffd}',
  '\u{202e}',
  '%00',
  '%2e%2e/',
  '@',
  '//',
  '127.1',
  '2130706433',
  '[::ffff:127.0.0.1]',
  '0x7f.1',
  '。',
  'c1',
  'c3,personal',
] as const;

/** Changes a few places of some bytes: flips, cuts, doubles, moves, and tokens that readers trip over. */
export function mutateBytes(bytes: Buffer, random: FuzzRandom): Buffer {
  let changed = bytes;
  for (let left = 1 + random.int(4); left > 0; left--) changed = mutateOnce(changed, random);
  return changed;
}

export function mutateText(text: string, random: FuzzRandom): string {
  return mutateBytes(Buffer.from(text), random).toString('utf8');
}

function mutateOnce(bytes: Buffer, random: FuzzRandom): Buffer {
  const at = random.int(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random.int(16));
  const [before, inside, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  switch (random.int(6)) {
    case 0:
      return Buffer.concat([before, Buffer.from([random.int(256)]), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([before, after]);
    case 2:
      return Buffer.concat([before, inside, inside, after]);
    case 3:
      return random.chance(0.3) ? before : Buffer.concat([after, before, inside]);
    default:
      return Buffer.concat([before, Buffer.from(random.pick(TOKENS)), bytes.subarray(at)]);
  }
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const VALUES: readonly [Json, ...Json[]] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x'.repeat(300),
  '\ud800',
  [],
  {},
  [[]],
  [null],
  { a: null },
  { $ref: '#' },
  { type: 'object', properties: { a: { $ref: '#' } } },
];

/** Changes one place of a JSON value: another value, a member less, a member that others know, or deep nesting. */
export function mutateJson(
  value: unknown,
  random: FuzzRandom,
  names: readonly [string, ...string[]],
): unknown {
  if (typeof value !== 'object' || value === null || random.chance(0.15)) return odd(random);
  if (Array.isArray(value)) {
    const i = random.int(value.length + 1);
    return value.toSpliced(i, 1, mutateJson(value[i], random, names));
  }
  const members = Object.entries(value);
  const [name = random.pick(names)] = members[random.int(members.length + 1)] ?? [];
  const others = members.filter(([other]) => other !== name);
  if (random.chance(0.2)) return Object.fromEntries(others);
  const old: unknown = Object.getOwnPropertyDescriptor(value, name)?.value;
  // Entries, so that a name like __proto__ becomes a member.
  return Object.fromEntries([...others, [name, mutateJson(old, random, names)]]);
}

function odd(random: FuzzRandom): unknown {
  if (!random.chance(0.1)) return random.pick(VALUES);
  let deep: unknown = random.pick(VALUES);
  for (let left = 55 + random.int(20); left > 0; left--) deep = random.chance(0.5) ? [deep] : { a: deep };
  return deep;
}
