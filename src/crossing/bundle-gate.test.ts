import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BundleGate } from './bundle-gate.ts';

const CHANGED = { code: 'crossing.bundle_changed' };

test('lets the running bundle decide and no other', async () => {
  const gate = new BundleGate('one');
  assert.equal(await gate.pass('one', async () => 7), 7);
  await assert.rejects(
    gate.pass('two', async () => 7),
    CHANGED,
  );
});

test('waits for decisions on their way, takes none meanwhile, and opens for the next bundle', async () => {
  const gate = new BundleGate('one');
  const leaf = Promise.withResolvers<number>();
  const passing = gate.pass('one', async () => leaf.promise);
  let isShut = false;
  const shut = gate.shut().then(() => (isShut = true));
  await assert.rejects(
    gate.pass('one', async () => 8),
    CHANGED,
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isShut, false);
  leaf.resolve(3);
  assert.equal(await passing, 3);
  await shut;

  const opened = gate.opened();
  gate.open('two');
  await opened;
  await assert.rejects(
    gate.pass('one', async () => 8),
    CHANGED,
  );
  assert.equal(await gate.pass('two', async () => 9), 9);
});

test('a decision that cannot be recorded does not keep the gate from shutting', async () => {
  const gate = new BundleGate('one');
  const leaf = Promise.withResolvers<number>();
  const passing = gate.pass('one', async () => leaf.promise);
  const shut = gate.shut();
  leaf.reject(new Error('no disk'));
  await assert.rejects(passing, /no disk/);
  await shut;
  gate.open('one');
  assert.ok(gate.decides('one'));
});
