import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { testSite, wholeRoad } from '../../test/support/ledger-site.ts';
import { Fault } from '../core/fault.ts';
import { ledgerCommand, type LedgerIo } from './ledger.ts';

function commandIo(folder: string): LedgerIo & { readonly text: string[] } {
  const text: string[] = [];
  return {
    text,
    out: (line) => text.push(line),
    err: (line) => text.push(line),
    env: { locale: 'en', logKey: null },
    open: async (target) => ({
      read: (path) => readFile(join(folder, target, path)).catch(() => null),
      async [Symbol.asyncDispose]() {},
    }),
  };
}

test('the command prints the verdict first and exits with it; wrong usage is 2', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await wholeRoad(ledger);
  await site.close();
  const io = commandIo(site.dir);
  const args = ['check', ledger.logId, '--key', ledger.vkey];
  assert.equal(await ledgerCommand(args, io), 0);
  assert.match(io.text.splice(0).join(''), /^valid\nsize=2 root=/);
  assert.equal(await ledgerCommand([...args, '--json'], io), 0);
  assert.deepEqual(JSON.parse(io.text.splice(0).join('')).verdict, 'valid');
  assert.equal(await ledgerCommand(['check', 'nowhere', '--key', ledger.vkey], io), 2);
  assert.equal(await ledgerCommand(['check', ledger.logId], io), 2);
  assert.equal(await ledgerCommand(['mend', ledger.logId], io), 2);
  assert.equal(await ledgerCommand(['--help'], io), 0);
});

test('a log that cannot be read is not called wrong', async () => {
  await using site = testSite();
  const { vkey } = await site.open();
  const io = commandIo(site.dir);
  for (const open of [
    (): Promise<never> => Promise.reject(new Fault('unavailable', 'egress.unreachable', 'no answer')),
    async () => ({
      read: (): Promise<never> => Promise.reject(new Fault('denied', 'cli.refused', 'no answer')),
      async [Symbol.asyncDispose]() {},
    }),
  ]) {
    assert.equal(await ledgerCommand(['check', 'x', '--key', vkey], { ...io, open }), 2);
    assert.equal(io.text.splice(0).join(''), 'unusable\nno answer\n');
  }
});
