import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { parseIp, parsePrefix } from '../../../src/core/address.ts';
import { Fault } from '../../../src/core/fault.ts';
import { EventSplitter } from '../../../src/core/sse.ts';
import { INSIDE, PUBLIC } from '../../../src/egress/address.ts';
import { mayFetch } from '../../../src/gateway/adapter/references.ts';
import { MAX_DEPTH, parseJsonObject } from '../../../src/gateway/json-body.ts';
import { hostAllowed } from '../../../src/identity/host.ts';
import { NOTHING_ALLOWED } from '../../../src/policy/endpoints.ts';
import { labelToHeader, parseLabel } from '../../../src/policy/labels.ts';
import { networkProblems } from '../../../src/policy/network.ts';
import { mutateBytes, mutateJson, mutateText } from './mutate.ts';
import type { FuzzRandom } from './random.ts';

/** What holds of a pure function for whatever it is given; each throws when it does not. */
export const PROPERTIES: Readonly<Record<string, (random: FuzzRandom) => void>> = {
  address,
  url,
  host,
  label,
  json,
  events,
};

const ADDRESSES = [
  '127.0.0.1',
  '203.0.113.7',
  '::1',
  '2001:db8::1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
] as const;
const HOSTS = ['localhost', '127.0.0.1:8420', '[::1]:1', 'site.example', 'site.example:443'] as const;
const URLS = ['https://media.example/a.png', 'https://media.example', 'https://other.example/x'] as const;
const NAMES = ['model', 'messages', 'tools', 'store', '__proto__', 'constructor', 'a'] as const;

function address(random: FuzzRandom): void {
  const text = mutateText(random.pick(ADDRESSES), random);
  const parsed = parseIp(text);
  // Zones are no address of ours; all else that the runtime knows as one has to be one, and nothing more.
  if (!text.includes('%')) assert.equal(parsed !== null, isIP(text) !== 0, JSON.stringify(text));
  assert.ok(!(PUBLIC.has(text) && INSIDE.has(text)), JSON.stringify(text));
  if (parsed === null) assert.ok(!PUBLIC.has(text) && !INSIDE.has(text), JSON.stringify(text));
  const prefix = parsePrefix(mutateText(`${random.pick(ADDRESSES)}/${random.int(140)}`, random));
  if (prefix !== null) assert.ok(prefix.bits <= (prefix.family === 4 ? 32 : 128));
}

function url(random: FuzzRandom): void {
  const text = mutateText(random.pick(URLS), random);
  if (mayFetch(text, { ...NOTHING_ALLOWED, urls: ['media.example'] }))
    assert.match(text, /^https:\/\/media\.example($|[/?#])[^\s\\]*$/);
  const facts = { addresses: ['203.0.113.0/24'], pins: [], issuer: `sha256:${'a'.repeat(64)}`, proxy: null };
  const problems = networkProblems(text, { ...facts, hosts: ['media.example'] });
  if (problems.length === 0) assert.match(text, /^https:\/\/media\.example(:\d+)?(\/[A-Za-z0-9._~/-]*)?$/);
}

function host(random: FuzzRandom): void {
  const text = mutateText(random.pick(HOSTS), random);
  if (!hostAllowed(text, { hosts: ['site.example'] })) return;
  const shape = /^(localhost|site\.example|127\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;
  assert.match(text, shape, JSON.stringify(text));
}

function label(random: FuzzRandom): void {
  const text = mutateText(random.pick(['c1', 'c2,personal', 'c3, health ,financial']), random);
  const read = unlessFault(() => parseLabel(text), 'policy.label');
  if (read !== null) assert.deepEqual(parseLabel(labelToHeader(read)), read);
}

function json(random: FuzzRandom): void {
  const good = { model: 'm', messages: [{ role: 'user', content: 'a "quoted\\" { brace' }] };
  const text = JSON.stringify(mutateJson(good, random, NAMES)) ?? '';
  const bytes = random.chance(0.5) ? Buffer.from(text) : mutateBytes(Buffer.from(text), random);
  const read = unlessFault(() => parseJsonObject(bytes), 'gateway.invalid_request');
  const plain = parsed(bytes);
  const fits =
    typeof plain === 'object' && plain !== null && !Array.isArray(plain) && depth(plain) <= MAX_DEPTH;
  assert.equal(read !== null, fits, bytes.toString('latin1'));
  if (read !== null) assert.deepEqual(read, plain);
}

// A stream says the same however it is cut, and no byte of it is lost or doubled.
function events(random: FuzzRandom): void {
  const good = 'data: {"a":1}\n\n: note\r\n\r\ndata: x\ndata: y\r\rdata: [DONE]\n\n';
  const bytes = mutateBytes(Buffer.from(good), random);
  const whole = split([bytes]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + random.int(8);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  const cut = split(pieces);
  assert.deepEqual(cut.data, whole.data, JSON.stringify(bytes.toString('latin1')));
  for (const { passed } of [whole, cut]) assert.ok(bytes.subarray(0, passed.length).equals(passed));
}

function split(pieces: readonly Buffer[]): { data: string[]; passed: Buffer } {
  const splitter = new EventSplitter();
  const found = pieces.flatMap((piece) => splitter.push(piece) ?? assert.fail('an event too long'));
  return {
    data: found.flatMap(({ data }) => data ?? []),
    passed: Buffer.concat(found.map(({ bytes }) => bytes)),
  };
}

function unlessFault<T>(read: () => T, code: string): T | null {
  try {
    return read();
  } catch (thrown) {
    assert.ok(thrown instanceof Fault && thrown.code === code, String(thrown));
    return null;
  }
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

function depth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}
