import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../core/fault.ts';
import { MAX_DEPTH, parseJsonObject } from './json-body.ts';

const nested = (depth: number): Buffer => Buffer.from(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`);

function refusal(body: Buffer): Fault {
  try {
    parseJsonObject(body);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
  }
  return assert.fail('expected a refusal');
}

test('parses an object nested as deep as allowed, and refuses one level more', () => {
  assert.ok(parseJsonObject(nested(MAX_DEPTH - 1)));
  assert.match(refusal(nested(MAX_DEPTH)).message, /deeper than 64/);
});

test('brackets inside strings do not count, however they are escaped', () => {
  const text = String.raw`\"[[[[\\`;
  const body = Buffer.from(`{"a":"${'['.repeat(500)}${text}","b":"\\\\"}`);
  assert.equal(parseJsonObject(body)['b'], '\\');
});

test('a body of twenty megabytes of open brackets is refused without building anything', () => {
  const started = performance.now();
  assert.match(refusal(Buffer.alloc(20 * 1024 * 1024, '[')).message, /deeper/);
  assert.ok(performance.now() - started < 200);
});

for (const [name, body] of [
  ['nothing', Buffer.alloc(0)],
  ['an array', Buffer.from('[]')],
  ['text', Buffer.from('"x"')],
  ['half an object', Buffer.from('{"model":')],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ['a byte order mark', Buffer.from('\ufeff{}')],
  ['two values', Buffer.from('{}{}')],
] as const) {
  test(`refuses ${name} without quoting it`, () => {
    const fault = refusal(body);
    assert.equal(fault.code, 'gateway.invalid_request');
    assert.equal(fault.kind, 'invalid');
  });
}
