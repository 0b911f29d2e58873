import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSplitter } from './sse.ts';

const STREAM = ': ping\n\ndata: {"a":1}\n\nevent: x\r\ndata: two\r\ndata:lines\r\n\r\ndata: [DONE]\n\n';

function split(chunks: readonly Buffer[]): { data: (string | null)[]; bytes: string; unfinished: boolean } {
  const splitter = new EventSplitter();
  const events = chunks.flatMap((chunk) => splitter.push(chunk) ?? assert.fail('too large'));
  return {
    data: events.map((event) => event.data),
    bytes: Buffer.concat(events.map((event) => event.bytes)).toString(),
    unfinished: splitter.unfinished,
  };
}

test('cuts a stream into events wherever the chunks end, and keeps every byte', () => {
  const whole = Buffer.from(STREAM);
  for (let at = 0; at <= whole.length; at++) {
    const result = split([whole.subarray(0, at), whole.subarray(at)]);
    assert.deepEqual(result.data, [null, '{"a":1}', 'two\nlines', '[DONE]']);
    assert.equal(result.bytes, STREAM);
    assert.equal(result.unfinished, false);
  }
});

test('takes lines that end with CR alone', () => {
  assert.deepEqual(split([Buffer.from('data: 1\r\rdata: 2\r\r')]).data, ['1', '2']);
});

test('says that an event was cut off', () => {
  assert.equal(split([Buffer.from('data: {"a"')]).unfinished, true);
});

test('gives up on an event without end', () => {
  const splitter = new EventSplitter();
  const megabyte = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 4; i++) assert.ok(splitter.push(megabyte));
  assert.equal(splitter.push(megabyte), null);
});
