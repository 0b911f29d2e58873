import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorBody } from '../errors.ts';
import { Refusal } from './refusal.ts';

const JSON_HEAD = { 'content-type': 'application/json; charset=utf-8' };
const SAFE = { filtered: false, severity: 'safe' };

interface Read {
  readonly over: boolean;
  readonly error: unknown;
}

function read(body: unknown, status = 400, headers: Readonly<Record<string, string>> = JSON_HEAD): Read {
  const refusal = new Refusal('az/m', status, headers);
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  for (let at = 0; at < bytes.length && !refusal.over; at += 1000)
    refusal.take(bytes.subarray(at, at + 1000));
  const { error } = JSON.parse(errorBody(refusal.failure().error).toString()) as { error: unknown };
  return { over: refusal.over, error };
}

function filtered(results: unknown, names = ['innererror', 'content_filter_result']): object {
  const [outer = '', inner = ''] = names;
  return { error: { code: 'content_filter', message: 'CANARY', [outer]: { [inner]: results } } };
}

test('the verdict of a content filter is told in the form that clients of Azure read', () => {
  const { error } = read(filtered({ hate: { filtered: true, severity: 'high' }, violence: SAFE }));
  assert.deepEqual(error, {
    message: 'the content filter of az/m stopped the prompt',
    type: 'invalid_request_error',
    param: 'prompt',
    code: 'content_filter',
    innererror: {
      code: 'ResponsibleAIPolicyViolation',
      content_filter_result: { hate: { filtered: true, severity: 'high' }, violence: SAFE },
    },
  });
});

test('the names of its description are read as those on the wire', () => {
  const { error } = read(filtered({ hate: SAFE }, ['inner_error', 'content_filter_results']));
  assert.deepEqual(Object(error).innererror.content_filter_result, { hate: SAFE });
});

test('nothing of a verdict is passed on but names and grades', () => {
  const planted = {
    hate: { ...SAFE, text: 'CANARY', severity: 'CANARY', citation: { url: 'CANARY' } },
    'CANARY in a name': SAFE,
    jailbreak: { detected: 'CANARY', filtered: true },
    custom: 'CANARY',
    lists: ['CANARY'],
  };
  const { error } = read(filtered(planted));
  assert.doesNotMatch(JSON.stringify(error), /CANARY/);
  assert.deepEqual(Object(error).innererror.content_filter_result, {
    hate: { filtered: false },
    jailbreak: { filtered: true },
    custom: {},
    lists: {},
  });
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${'x'.repeat(i)}`, SAFE]));
  assert.equal(Object.keys(Object(read(filtered(many)).error).innererror.content_filter_result).length, 32);
});

test('every other refusal keeps its text', () => {
  const plain = 'az/m refused the request with status';
  for (const body of ['', '{', '[]', '{"error":"CANARY"}', '{"error":{"code":"CANARY","message":"CANARY"}}'])
    assert.equal(Object(read(body).error).message, `${plain} 400`);
  assert.equal(Object(read(filtered({}), 403).error).message, `${plain} 403`);
  assert.equal(Object(read(filtered({}), 400, { 'content-type': 'text/html' }).error).code, 'provider_error');
});

test('a refusal without end is not read to its end', () => {
  const { over, error } = read(filtered({ hate: SAFE, pad: 'x'.repeat(1 << 20) }));
  assert.equal(over, true);
  assert.equal(Object(error).code, 'provider_error');
});
