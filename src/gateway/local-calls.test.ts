import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemWorld } from '../core/world.ts';
import type { EgressHandler } from '../egress/types.ts';
import { LocalCalls } from './local-calls.ts';

/** A call that runs until somebody ends it. */
function running(calls: LocalCalls, bundle: string): { heard: string[]; end: () => void } {
  const heard: string[] = [];
  const handler: EgressHandler = {
    onHead: () => heard.push('head'),
    onData: () => true,
    onEnd: () => heard.push('end'),
    onError: () => heard.push('error'),
  };
  let kept: EgressHandler | null = null;
  calls.start(bundle, handler, (given) => {
    kept = given;
    return { resume: () => {}, abort: () => heard.push('abort'), observed: () => null };
  });
  return { heard, end: () => kept?.onEnd() };
}

test('a retired bundle’s calls are cut, once their time is over, and others are not', async () => {
  const calls = new LocalCalls(systemWorld().clock);
  const [old, other] = [running(calls, 'old'), running(calls, 'other')];
  await calls.retire('old', 5);
  assert.deepEqual(old.heard, ['abort', 'error']);
  assert.deepEqual(other.heard, []);
});

test('a call that ends in its time is left alone', async () => {
  const calls = new LocalCalls(systemWorld().clock);
  const old = running(calls, 'old');
  const retired = calls.retire('old', 20);
  old.end();
  await retired;
  assert.deepEqual(old.heard, ['end']);
});
