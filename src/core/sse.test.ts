import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSplitter } from './sse.ts';

const STREAM = ': ping\n\ndata: {"a":1}\n\nevent: x\r\ndata: two\r\ndata:lines\r\n\r\ndata: [DONE]\n\n';

function split(chunks: readonly Buffer[]): { data: (string | null)[]; bytes: string } {
  const splitter = new EventSplitter();
  const events = chunks.flatMap((chunk) => splitter.push(chunk) ?? assert.fail('too large'));
  return {
    data: events.map((event) => event.data),
    bytes: Buffer.concat(events.map((event) => event.bytes)).toString(),
  };
}

test('cuts a stream into events wherever the chunks end, and keeps every byte', () => {
  const whole = Buffer.from(STREAM);
  for (let at = 0; at <= whole.length; at++) {
    const result = split([whole.subarray(0, at), whole.subarray(at)]);
    assert.deepEqual(result.data, [null, '{"a":1}', 'two\nlines', '[DONE]']);
    assert.equal(result.bytes, STREAM);
  }
});

test('takes lines that end with CR alone', () => {
  assert.deepEqual(split([Buffer.from('data: 1\r\rdata: 2\r\r')]).data, ['1', '2']);
});

test('passes no event on that has not ended', () => {
  assert.deepEqual(split([Buffer.from('data: {"a"')]).data, []);
});

test('gives up on an event without end', () => {
  const splitter = new EventSplitter();
  const megabyte = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 4; i++) assert.ok(splitter.push(megabyte));
  assert.equal(splitter.push(megabyte), null);
});

test('a stream that mixes line ends says the same however it is cut', () => {
  const bytes = Buffer.from('data: a\r\rdata: b\n\ndata: c\r\n\r\ndata: d\n\r\ndata: e\r\n\n');
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const splitter = new EventSplitter();
    const said: (string | null)[] = [];
    let passed = '';
    for (let at = 0; at < bytes.length; at += size)
      for (const event of splitter.push(bytes.subarray(at, at + size)) ?? []) {
        if (event.data !== null) said.push(event.data);
        passed += event.bytes.toString();
      }
    assert.deepEqual(said, ['a', 'b', 'c', 'd', 'e'], `cut every ${size}`);
    assert.equal(passed, bytes.toString());
  }
});

test('a line feed that comes after its return belongs to the event before', () => {
  const splitter = new EventSplitter();
  assert.deepEqual(splitter.push(Buffer.from('data: a\r\n\r'))?.[0]?.data, 'a');
  assert.deepEqual(splitter.push(Buffer.from('\n')), []);
  assert.equal(splitter.push(Buffer.from('data: b\n\n'))?.[0]?.data, 'b');
});

test('a long event that comes byte by byte costs its length, not its square', () => {
  const splitter = new EventSplitter();
  const bytes = Buffer.from(`data: ${'x'.repeat(500_000)}\n\n`);
  const began = performance.now();
  let last: readonly { data: string | null }[] = [];
  for (const byte of bytes) last = splitter.push(Buffer.from([byte])) ?? [];
  assert.equal(last[0]?.data?.length, 500_000);
  // Copying it whole for each byte takes a quarter of a minute or more.
  assert.ok(performance.now() - began < 5_000);
});
