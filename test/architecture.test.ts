import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { architectureViolations, ROOMS } from './support/architecture.ts';
import { parseSource, readSources, ROOT } from './support/source.ts';

test('rooms import only along the table', async () => {
  const sources = await readSources(['src']);
  assert.ok(sources.length > 0);
  assert.deepEqual(architectureViolations(sources), []);
});

test('every folder of src is a room of the table', () => {
  const folders = readdirSync(path.join(ROOT, 'src'));
  assert.deepEqual(
    folders.filter((folder) => !Object.hasOwn(ROOMS, folder)),
    [],
  );
});

test('every relative import names a file that is there', async () => {
  const missing: string[] = [];
  for (const { file, imports } of await readSources(['src', 'test', 'scripts', 'bench']))
    for (const { specifier, line } of imports)
      if (specifier.startsWith('.') && !existsSync(path.join(ROOT, path.dirname(file), specifier)))
        missing.push(`${file}:${line} ${specifier}`);
  assert.deepEqual(missing, []);
});

const ALLOWED: readonly (readonly [file: string, text: string])[] = [
  ['src/ledger/tile.ts', "import { Fault } from '../core/fault.ts';"],
  ['src/ledger/store.ts', "import { sql } from 'kysely'; export const q = (d) => d.selectFrom('leaf');"],
  ['src/identity/types.ts', "import type { Kysely } from 'kysely';"],
  ['src/egress/connect.ts', "import net from 'node:net'; import { Pool } from 'undici';"],
  ['src/server/listen.ts', "import { createServer } from 'node:http';"],
  ['src/gateway/handler.ts', "import type { IncomingMessage } from 'node:http';"],
  ['src/crossing/road.ts', "import { mintPermit } from '../egress/permit.ts'; mintPermit();"],
  ['src/cli/verify.ts', "import { verify } from '../ledger/verify/index.ts';"],
  ['src/cli/call.ts', "import { routes } from '../gateway/contract.ts';"],
  [
    'src/policy/engine.test.ts',
    "import { x } from '../../test/support/site.ts'; import net from 'node:net';",
  ],
  ['src/leaktest/world/sink.ts', "import { createServer } from 'node:net';"],
  ['src/cli/leak-test.ts', "import { leakTest } from '../leaktest/run.ts';"],
  ['src/egress/a.test.ts', "import { createGuardedEgress } from './egress.ts'; createGuardedEgress();"],
  ['src/server/text.ts', "export const hint = 'choose a model, or select one';"],
];

for (const [file, text] of ALLOWED)
  test(`allows ${file}: ${text}`, () => {
    assert.deepEqual(architectureViolations([parseSource(file, text)]), []);
  });

const PLANTED: readonly (readonly [file: string, text: string, found: RegExp])[] = [
  ['src/core/a.ts', "import { x } from '../storage/database.ts';", /core may not import storage/],
  ['src/policy/a.ts', "import type { x } from '../ledger/types.ts';", /policy may not import ledger/],
  ['src/policy/a.ts', "export { x } from '../ledger/types.ts';", /policy may not import ledger/],
  ['src/policy/a.ts', "export * from '../ledger/types.ts';", /policy may not import ledger/],
  ['src/policy/a.ts', "export const x = await import('../ledger/types.ts');", /policy may not import ledger/],
  [
    'src/policy/a.ts',
    "export type X = import('../ledger/types.ts').Receipt;",
    /policy may not import ledger/,
  ],
  ['src/policy/a.ts', "require('../ledger/types.ts');", /policy may not import ledger/],
  ['src/policy/a.ts', "import x = require('../ledger/types.ts');", /policy may not import ledger/],
  [
    'src/policy/a.ts',
    "new Worker(new URL('../ledger/w.ts', import.meta.url));",
    /policy may not import ledger/,
  ],
  [
    'src/policy/a.ts',
    "new Worker(new URL('../ledger/w.js', import.meta.url));",
    /policy may not import ledger/,
  ],
  [
    'src/policy/a.ts',
    'fork(new URL(`../ledger/w${ending}`, import.meta.url));',
    /policy may not import ledger/,
  ],
  ['src/policy/a.ts', 'fork(new URL(`../${room}/w.ts`, import.meta.url));', /cannot be read/],
  ['src/policy/a.ts', 'fork(new URL(name, import.meta.url));', /cannot be read/],
  ['src/policy/a.ts', 'export const x = (name) => import(name);', /cannot be read/],
  ['src/policy/a.ts', 'export const x = (name) => process.getBuiltinModule(name);', /cannot be read/],
  [
    'src/policy/a.ts',
    "export const x = process.getBuiltinModule('node:net');",
    /sockets are opened in egress/,
  ],
  ['src/policy/a.test.ts', "import { x } from '../ledger/types.ts';", /policy may not import ledger/],
  ['src/policy/a.ts', "import { x } from '../../test/support/site.ts';", /outside src/],
  ['src/gateway/a.ts', "import { x } from '../talent/cohort.ts';", /gateway may not import talent/],
  ['src/core/a.ts', "import { x } from '../server/app.ts';", /core may not import server/],
  ['src/cli/a.ts', "import { x } from '../gateway/chat.ts';", /cli may not import gateway/],
  ['src/quay/a.ts', 'export const x = 1;', /unknown room quay/],
  ['src/a.ts', 'export const x = 1;', /lies in no room/],
  ['src/core/a.ts', "import { x } from '../a.ts';", /lies in no room/],
  ['src/policy/a.ts', "import net from 'node:net';", /sockets are opened in egress/],
  ['src/gateway/a.ts', "import { request } from 'node:https';", /sockets are opened in egress/],
  ['src/server/app.ts', "import { createServer } from 'node:http';", /sockets are opened in egress/],
  ['src/storage/a.ts', "import { lookup } from 'node:dns/promises';", /sockets are opened in egress/],
  ['src/policy/a.ts', "import net from 'net';", /without node:/],
  ['src/policy/a.ts', "import { spawn } from 'node:child_process';", /other programs are started/],
  ['src/gateway/a.ts', "import { Pool } from 'undici';", /undici, which belongs to another room/],
  ['src/identity/keys.ts', "import { sql } from 'kysely';", /kysely, which belongs to another room/],
  ['src/gateway/a.ts', "import { Hono } from 'hono/tiny';", /hono, which belongs to another room/],
  ['src/crossing/a.ts', "import c from '@cedar-policy/cedar-wasm/nodejs';", /cedar-wasm, which belongs/],
  ['src/gateway/a.ts', "import { getLlama } from 'node-llama-cpp';", /node-llama-cpp, which belongs/],
  ['src/core/a.ts', "import axios from 'axios';", /axios, a package that no room may use/],
  ['src/gateway/a.ts', "import { mintPermit } from '../egress/permit.ts'; mintPermit();", /names mintPermit/],
  ['src/gateway/a.ts', "import * as p from '../egress/permit.ts'; p.mintPermit();", /names mintPermit/],
  ['src/gateway/a.ts', "import * as p from '../egress/permit.ts'; p['mintPermit']();", /names mintPermit/],
  ['src/leaktest/stage.ts', "import net from 'node:net';", /sockets are opened in egress/],
  ['src/server/a.ts', "import { x } from '../leaktest/run.ts';", /only leak-test loads the suite/],
  ['src/cli/up.ts', "import { x } from '../leaktest/run.ts';", /only leak-test loads the suite/],
  ['src/leaktest/a.ts', "import { x } from '../egress/egress.ts';", /leaktest may not import egress/],
  [
    'src/server/a.ts',
    "import { createGuardedEgress } from '../egress/egress.ts';",
    /names createGuardedEgress/,
  ],
  [
    'src/server/a.ts',
    "import * as e from '../egress/egress.ts'; e['createGuardedEgress']();",
    /names create/,
  ],
  [
    'src/egress/a.ts',
    "import { ALL_GUARDS } from './guards.ts'; ALL_GUARDS.on = () => false;",
    /names ALL_GUARDS/,
  ],
  ['src/gateway/a.ts', "export const r = await globalThis.fetch('http://a');", /uses globalThis.fetch/],
  ['src/gateway/a.ts', "process.binding('tcp_wrap');", /uses process.binding/],
  ['src/gateway/a.ts', "eval('1');", /calls eval/],
  ['src/gateway/a.ts', "new Function('return 1');", /makes a function from text/],
  ['src/identity/keys.ts', "export const q = (d) => d.selectFrom('key').execute();", /calls selectFrom/],
  ['src/identity/keys.ts', "export const q = 'SELECT id FROM key';", /writes SQL/],
  ['src/identity/keys.ts', 'export const q = (t) => `delete from ${t}`;', /writes SQL/],
  ['src/identity/keys.ts', "import { DatabaseSync } from 'node:sqlite';", /opens a database/],
  ['src/ledger/verify/a.ts', "import { Fault } from '../../core/fault.ts';", /stands alone/],
  ['src/ledger/verify/a.ts', "import { createHash } from 'node:crypto';", /stands alone/],
  ['src/ledger/verify/a.ts', "import { z } from 'zod';", /stands alone/],
];

for (const [file, text, found] of PLANTED)
  test(`catches in ${file}: ${text}`, () => {
    assert.match(architectureViolations([parseSource(file, text)]).join('\n'), found);
  });

test('a file that cannot be parsed is not passed over', () => {
  assert.throws(() => parseSource('src/core/a.ts', 'export const = ;'), SyntaxError);
});
