import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { forgeries } from '../../../test/support/forge.ts';
import { verifyReceipt } from './verify.ts';

const FOLDER = path.join(import.meta.dirname, '../../../fixtures/receipts');
const read = (file: string): Buffer => readFileSync(path.join(FOLDER, file));
const vkeys = [read('vkey.txt').toString().trim()];

const RECEIPTS = [
  ['ok-plain.json', 'request.plain.json', 'response.plain.json'],
  ['ok-stream.json', 'request.stream.json', 'response.stream.sse'],
  ['ok-retry.json', 'request.retry.json', 'response.retry.json'],
  ['ok-retry3.json', 'request.plain.json', 'response.plain.json'],
  ['ok-pretty.json', 'request.plain.json', 'response.plain.json'],
  ['ok-binary.json', 'request.binary.bin', 'response.binary.bin'],
] as const;

for (const [file, request, response] of RECEIPTS) {
  const all = forgeries(read(file).toString(), { request: read(request), response: read(response) });
  test(`finds each of ${all.length} forgeries of ${file}`, async () => {
    for (const { name, text, exit, ...bodies } of all) {
      const found = await verifyReceipt(Buffer.from(text), { vkeys }, bodies);
      assert.equal(found.exit, exit, `${name}: ${found.reasons.join('; ')}`);
    }
  });
}

test('survives any single byte of a receipt being replaced, and never calls a changed proof valid', async () => {
  const receipt = read('ok-plain.json');
  const until = receipt.indexOf('"open"');
  const found = new Map<number, number>();
  for (let at = 0; at < until; at += 7) {
    const spoiled = Buffer.from(receipt);
    spoiled[at] = (spoiled[at] ?? 0) ^ 0x15;
    const { exit, state } = await verifyReceipt(spoiled, { vkeys });
    if (exit === 0) assert.equal(state, 'closed');
    found.set(exit, (found.get(exit) ?? 0) + 1);
  }
  // Only the hints and the names of unread members may change without harm.
  assert.ok((found.get(0) ?? 0) < 10, `${found.get(0)} changed receipts were valid`);
});
