import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { testSite, wholeRoad, type TestSite } from '../../test/support/ledger-site.ts';
import { leafHash } from './tree.ts';

const GO = 'go';
const SOURCE = join(import.meta.dirname, '..', '..', 'test', 'go-verifier');
const run = promisify(execFile);

/** Writes a log under load, keeping every checkpoint and some leaves that a client saw. */
async function logUnderLoad(
  site: TestSite,
): Promise<{ folder: string; vkey: string; leaves: number; heads: number }> {
  const ledger = await site.open({ segmentBytes: 512 << 10 });
  const heads = join(site.top, 'heads');
  mkdirSync(heads);
  const lines: string[] = [];
  const seen = new Set<string>();
  const client = async (_: unknown, number: number): Promise<void> => {
    for (let i = 0; i < 150; i++) {
      const { rid } = await wholeRoad(ledger);
      // Clients go in step, since they share syncs; were their receipts in step too, so would be the checkpoints.
      if ((i + number) % 10 > 0) continue;
      const receipt = (await ledger.receipt(rid)) ?? assert.fail();
      seen.add(receipt.checkpoint);
      writeFileSync(join(heads, receipt.checkpoint.split('\n')[1] ?? ''), receipt.checkpoint);
      for (const { decision, outcome } of receipt.attempts)
        for (const leaf of [decision, outcome ?? assert.fail()]) {
          const digest = Buffer.from(leafHash(Buffer.from(leaf.entry, 'base64')), 'latin1').toString('hex');
          lines.push(`${leaf.index} ${digest}`);
        }
    }
  };
  await Promise.all(Array.from({ length: 20 }, client));
  await site.close();
  writeFileSync(join(site.top, 'leaves'), `${lines.join('\n')}\n`);
  return { folder: join(site.dir, ledger.logId), vkey: ledger.vkey, leaves: lines.length, heads: seen.size };
}

function harm(file: string, work: () => Promise<void>): Promise<void> {
  const whole = readFileSync(file);
  const harmed = Buffer.from(whole);
  const at = Math.floor(whole.length / 2);
  harmed[at] = (harmed[at] ?? 0) ^ 1;
  writeFileSync(file, harmed);
  return work().finally(() => writeFileSync(file, whole));
}

test("Go's transparency log packages verify a log written under load, and catch a flipped bit", async (t) => {
  await using site = testSite();
  const { folder, vkey, leaves, heads } = await logUnderLoad(site);
  const verifier = join(site.top, 'go-verifier');
  execFileSync(GO, ['build', '-o', verifier, '.'], { cwd: SOURCE, stdio: 'pipe' });
  const args = [folder, vkey, join(site.top, 'heads'), join(site.top, 'leaves')];
  const { stdout } = await run(verifier, args);
  t.diagnostic(stdout.trim());
  const [, size, inclusion, consistency] =
    /^valid size=(\d+) inclusion=(\d+) consistency=(\d+) tiles=\d+\n$/.exec(stdout) ?? [];
  assert.equal(Number(size), 6000);
  assert.equal(Number(inclusion), leaves);
  assert.equal(Number(consistency), heads);
  assert.ok(heads > 20, `${heads} checkpoints`);
  for (const part of ['tile/0/003', 'tile/1/000.p/23', 'tile/entries/007', 'checkpoint'])
    await harm(join(folder, part), async () => {
      await assert.rejects(run(verifier, args), { code: 1 }, part);
    });
});
