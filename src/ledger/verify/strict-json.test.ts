import assert from 'node:assert/strict';
import test from 'node:test';
import type { JsonValue } from './strict-json.ts';
import { isJsonObject, JsonNumber, readJson } from './strict-json.ts';

const read = (text: string) => readJson(new TextEncoder().encode(text));

const REFUSED = [
  '',
  ' ',
  'x',
  '{',
  '[',
  '[1',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{,}',
  '[1,]',
  '[,1]',
  '[1 2]',
  '{a:1}',
  "{'a':1}",
  '{"a" 1}',
  '{1:1}',
  '01',
  '+1',
  '.5',
  '5.',
  '1e',
  '1e+',
  '0x1',
  '-',
  'NaN',
  'Infinity',
  'nul',
  'True',
  'undefined',
  '"',
  '"\\"',
  '"\\x"',
  '"\\u12"',
  '"\\u12g4"',
  '"a\nb"',
  '"\u0001"',
  '{}{}',
  '[] ]',
  '1 1',
  '\ufeff{}',
  '{}\u00a0',
  '\u000b1',
  '/* */1',
  '"\\',
  '--1',
  '1_000',
];

for (const text of REFUSED)
  test(`refuses ${JSON.stringify(text)}, as JSON.parse does`, () => {
    assert.throws(() => JSON.parse(text));
    assert.equal(read(text).ok, false);
  });

test('reads every kind of value as JSON.parse does', () => {
  const texts = [
    '{"a":[1,-0,1.5e-3,2E+2,true,false,null,"x"],"b":{"c":{}}, "d" :\t[\r\n] }',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"',
    '"\\ud800"',
    '"関所 \u2028 \u{1f5fb}"',
    ' 12 ',
  ];
  for (const text of texts) {
    const reading = read(text);
    assert.deepEqual(reading.ok && plain(reading.value), JSON.parse(text));
  }
});

test('keeps the text of a number', () => {
  const reading = read('[1.0,1e0,-0,1]');
  const numbers = reading.ok && Array.isArray(reading.value) ? reading.value : [];
  assert.deepEqual(
    numbers.map((number: JsonValue) => (number instanceof JsonNumber ? number.text : null)),
    ['1.0', '1e0', '-0', '1'],
  );
});

test('accepts what JSON.parse accepts and refuses what it refuses, however a text is spoiled', () => {
  const whole = '{"v":1,"list":[1.5e3,-2,true,null,"a\\u00e9\\n"],"in":{"\\u0061":[],"b":{}}}';
  const spoilers = '{}[]",:\\ue0-.+tn \u0000\n';
  for (let at = 0; at < whole.length; at++) {
    for (const sign of spoilers) {
      for (const text of [
        whole.slice(0, at) + sign + whole.slice(at),
        whole.slice(0, at) + sign + whole.slice(at + 1),
      ])
        assert.equal(read(text).ok, parses(text), text);
    }
    assert.equal(read(whole.slice(0, at)).ok, parses(whole.slice(0, at)));
  }
});

const DUPLICATES = [
  ['{"a":1,"a":1}', 'a'],
  ['{"a":1,"\\u0061":2}', 'a'],
  ['[{"x":{"":1,"":2}}]', ''],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"constructor":1}', null],
  ['{"a":{"b":1},"b":{"a":1}}', null],
  ['[{"a":1},{"a":1}]', null],
] as const;

for (const [text, duplicate] of DUPLICATES)
  test(`finds ${duplicate === null ? 'no duplicate' : `the duplicate "${duplicate}"`} in ${text}`, () => {
    const reading = read(text);
    assert.equal(reading.ok && reading.duplicate, duplicate);
  });

test('takes a member named __proto__ as a member like any other', () => {
  const reading = read('{"__proto__":{"v":9}}');
  const value = reading.ok ? reading.value : null;
  assert.ok(isJsonObject(value));
  assert.equal(value.get('v'), undefined);
  assert.equal(value.size, 1);
});

test('reads 64 levels and refuses 65 as too deep', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const nested = (levels: number): string => `${open.repeat(levels)}0${close.repeat(levels)}`;
    assert.equal(read(nested(64)).ok, true);
    const reading = read(nested(65));
    assert.ok(!reading.ok && reading.tooDeep);
  }
});

test('is not exhausted by a million open brackets', () => {
  const reading = read('['.repeat(1_000_000));
  assert.ok(!reading.ok && reading.tooDeep);
});

test('refuses bytes that are not UTF-8', () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0x80, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0xff, 0xfe, 0x7b],
  ]) {
    const reading = readJson(Uint8Array.from(bytes));
    assert.ok(!reading.ok && !reading.tooDeep);
  }
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function plain(value: JsonValue): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (isJsonObject(value))
    return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
  return Array.isArray(value) ? value.map(plain) : value;
}
