import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { sql } from 'kysely';

import { openDatabase } from './database.ts';

const CHILD = fileURLToPath(new URL('../../test/support/storage-child.ts', import.meta.url));

function directory(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-durability-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface Told {
  readonly rows: ReadonlySet<number>;
  readonly faults: readonly string[];
  readonly read: number | null;
}

// Collects what the writer says; kills it after `killAfter` acknowledged rows.
async function runWriter(command: readonly string[], killAfter = Number.POSITIVE_INFINITY): Promise<Told> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const rows = new Set<number>();
  const faults: string[] = [];
  let read: number | null = null;
  for await (const line of createInterface(child.stdout)) {
    const [what, value = ''] = line.split(' ');
    if (what === 'row') rows.add(Number(value));
    else if (what === 'fault') faults.push(value);
    else read = Number(value);
    if (rows.size >= killAfter) child.kill('SIGKILL');
  }
  return { rows, faults, read };
}

async function storedRows(t: TestContext, dir: string): Promise<ReadonlySet<number>> {
  const database = await openDatabase({ url: 'sqlite', dir });
  t.after(() => database[Symbol.asyncDispose]());
  const check = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(database.tables());
  assert.deepEqual(check.rows, [{ integrity_check: 'ok' }]);
  const { rows } = await sql<{ id: number }>`select id from note`.execute(database.tables());
  return new Set(rows.map((row) => row.id));
}

for (const killAfter of [1, 37, 250]) {
  test(`a process killed after ${killAfter} acknowledged rows has lost none of them`, async (t) => {
    const dir = directory(t);
    const { rows, faults } = await runWriter([process.execPath, CHILD, dir], killAfter);
    assert.deepEqual(faults, []);
    assert.ok(rows.size >= killAfter);
    const missing = rows.difference(await storedRows(t, dir));
    assert.equal(missing.size, 0, `lost ${[...missing].join(', ')}`);
  });
}

test('a write that the file system refuses is unavailable, reads go on, and no acknowledged row is lost', async (t) => {
  const dir = directory(t);
  // The limit of a file's size stands for a broken disk: SQLite sees an input or output error.
  const script = 'trap "" XFSZ; ulimit -f 600; exec "$0" "$@"';
  const told = await runWriter(['/bin/sh', '-c', script, process.execPath, CHILD, dir, '8000']);
  assert.ok(told.rows.size > 0);
  assert.deepEqual(new Set(told.faults), new Set(['storage.unavailable']));
  assert.ok(told.read !== null && told.read >= told.rows.size);
  assert.equal(told.rows.difference(await storedRows(t, dir)).size, 0);
});

test('a full disk is unavailable, reads go on, and no acknowledged row is lost', async (t) => {
  const dir = directory(t);
  const [disk, copy] = [path.join(dir, 'disk'), path.join(dir, 'copy')];
  mkdirSync(disk);
  mkdirSync(copy);
  // The mount is seen in the child's own namespace only and ends with it; the copy shows what was durable.
  const script = `mount -t tmpfs -o size=1m tmpfs '${disk}' && "$0" "$@"; cp '${disk}'/* '${copy}'`;
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const namespace = ['unshare', ...user, '--mount', '/bin/sh', '-c', script];
  const told = await runWriter([...namespace, process.execPath, CHILD, disk, '8000']);
  assert.ok(told.rows.size > 0);
  assert.deepEqual(new Set(told.faults), new Set(['storage.unavailable']));
  assert.ok(told.read !== null && told.read >= told.rows.size);
  assert.equal(told.rows.difference(await storedRows(t, copy)).size, 0);
});
