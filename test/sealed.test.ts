import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { until } from './support/observe.ts';
import { commandsOf, SEALED_COMMANDS, tableProblems } from './support/sealed-commands.ts';
import { BEYOND, sealRoom, type SealedRoom } from './support/sealed-room.ts';
import { cycle, tripsOf, type SealedSite } from './support/sealed-work.ts';
import { startSite } from './support/site.ts';
import { ROOT } from './support/source.ts';
import { writeTinyGguf } from './support/tiny-gguf.ts';
import { tinyModels } from './support/tiny-model.ts';

const CYCLES = 5;
const PLANTED = path.join(ROOT, 'test', 'support', 'planted-site.ts');

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let room: SealedRoom;
let root: string;
let models: string;

before(async () => {
  root = mkdtempSync(path.join(os.tmpdir(), 'sekisho-sealed-'));
  held.defer(() => rmSync(root, { recursive: true, force: true }));
  room = held.use(await sealRoom(path.join(root, 'room')));
  models = await tinyModels(held);
  await writeTinyGguf(path.join(root, 'tiny.gguf'));
});

after(async () => held.disposeAsync());

test('every command works in a room without a way out, and none of them tries to leave it', async () => {
  let last: SealedSite | null = null;
  await cycle(room, { root, models }, async (sealed) => {
    last = sealed;
    assert.deepEqual(tableProblems(commandsOf(await sealed.run(['help']))), []);
    for (const [name, { running }] of Object.entries(SEALED_COMMANDS)) {
      await running?.(sealed);
      assert.equal(room.left(), 0, `${name} tried to leave the room`);
    }
  });
  for (const [name, { stopped }] of Object.entries(SEALED_COMMANDS)) {
    if (last !== null) await stopped?.(last);
    assert.equal(room.left(), 0, `${name} tried to leave the room`);
  }
});

test(`${CYCLES} starts, questions and stops in the room: nothing tries to leave`, async () => {
  for (let i = 1; i < CYCLES; i++)
    await cycle(room, { root, models }, async ({ run, receipt }) => void (await run(['receipt', receipt])));
  assert.equal(room.left(), 0);
});

test('a command without a row, and a row without a command, are told', () => {
  const rows = Object.keys(SEALED_COMMANDS);
  assert.deepEqual(tableProblems(rows), []);
  assert.match(tableProblems([...rows, 'teleport']).join(), /^teleport: give it a row/);
  assert.match(tableProblems(rows.slice(1)).join(), /: there is no such command$/);
});

test('a socket and a question for a name that a site was made to open are caught by counter and tripwire', async () => {
  const elsewhere = path.join(root, 'planted');
  await using planted = await sealRoom(path.join(elsewhere, 'room'));
  const env = { PLANT: 'leak', LEAK_TO: BEYOND };
  await using site = await startSite({ root: elsewhere, program: PLANTED, env, inside: planted.inside });
  assert.deepEqual([planted.left(), tripsOf(site)], [0, []]);
  process.kill(site.pid, 'SIGUSR2');
  const caught = (): boolean =>
    ['socket', 'name'].every((kind) => site.stderr().includes(`"kind":"${kind}"`));
  await until(caught, 'the tripwire caught both', 20_000);
  // One segment of the socket, and at least one datagram with the question.
  await until(() => planted.left() >= 2, 'the counter saw both');
  assert.equal(tripsOf(site).length, 2);
});

for (const [what, command] of [
  ['a datagram', `require('dgram').createSocket('udp4').send('x', 53, '${BEYOND}', () => process.exit())`],
  ['IPv6', `require('net').connect({ host: '2001:db8::2', port: 443 })`],
  ['the own address of the door', `require('net').connect({ host: '192.0.2.1', port: 443 })`],
] as const)
  test(`the counter sees ${what}`, () => {
    const before = room.left();
    const [program = '', ...enter] = room.inside;
    const script = `setTimeout(() => process.exit(), 300); ${command}`;
    spawnSync(program, [...enter, process.execPath, '-e', script]);
    assert.ok(room.left() > before);
  });

test('a machine that permits no namespaces fails the test with its reason, and skips nothing', async () => {
  const old = process.env['PATH'];
  process.env['PATH'] = root;
  try {
    await assert.rejects(
      sealRoom(path.join(root, 'none')),
      /no sealed room can be made here; it takes network/,
    );
  } finally {
    process.env['PATH'] = old;
  }
});
