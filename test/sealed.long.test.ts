import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { sealRoom } from './support/sealed-room.ts';
import { cycle } from './support/sealed-work.ts';
import { tinyModels } from './support/tiny-model.ts';

/** @note `SEALED_CYCLES=20 npm run test:long -- sealed` is a shorter one. */
const CYCLES = Number(process.env['SEALED_CYCLES'] ?? 200);
const TOLD_EVERY = 20;

test(`${CYCLES} starts, questions and stops in a room without a way out: nothing tries to leave`, async () => {
  await using held = new AsyncDisposableStack();
  const root = mkdtempSync(path.join(os.tmpdir(), 'sekisho-sealed-'));
  held.defer(() => rmSync(root, { recursive: true, force: true }));
  const room = held.use(await sealRoom(path.join(root, 'room')));
  const models = await tinyModels(held);
  for (let i = 1; i <= CYCLES; i++) {
    await cycle(room, { root, models }, async ({ run, receipt }) => void (await run(['receipt', receipt])));
    assert.equal(room.left(), 0, `cycle ${i} tried to leave the room`);
    if (i % TOLD_EVERY === 0) process.stderr.write(`${i} cycles\n`);
  }
});
