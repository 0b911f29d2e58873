import { builtinModules } from 'node:module';
import path from 'node:path';
import type { Import, Source } from './source.ts';
import { calleeName, lineOf, walk } from './source.ts';

const BELOW_CROSSING = ['core', 'storage', 'ledger', 'policy', 'inspect', 'egress', 'identity'];
const DOMAIN = [...BELOW_CROSSING, 'crossing'];

/** Which rooms a room may import, besides itself. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  storage: ['core'],
  ledger: ['core', 'storage'],
  policy: ['core'],
  inspect: ['core'],
  egress: ['core'],
  identity: ['core', 'storage'],
  crossing: ['core', 'ledger', 'policy', 'inspect', 'egress', 'identity'],
  gateway: DOMAIN,
  compute: DOMAIN,
  threats: DOMAIN,
  talent: DOMAIN,
  sites: DOMAIN,
  programme: ['core', 'storage', 'ledger'],
  server: [...DOMAIN, 'gateway', 'compute', 'threats', 'talent', 'sites', 'programme'],
  // The escape suite: it plays everything that a gateway could reach, and no part of a site may import it.
  leaktest: ['core'],
  cli: ['core', 'server', 'leaktest'],
};

/** What the command line uses beside `server`: contracts, what works without a site, and the client that asks one. */
const CLI_ALSO = [
  /\/contract\.ts$/,
  /^src\/ledger\/(?:verify\/|monitor\/|check\.ts$)/,
  /^src\/egress\/site-client\.ts$/,
];

/** Folders whose files import nothing but each other: they are published alone and run in a browser. */
const SELF_CONTAINED = 'src/ledger/verify/';

/** Where each npm package may be imported; a package that is not here may not be imported at all. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  undici: /^src\/egress\//,
  kysely:
    /^src\/(?:storage\/|\w+\/(?:decisions\/|erasure\/|backup\/)?(?:store|migrations)\.ts$|\w+\/migrations\/)/,
  hono: /^src\/server\//,
  '@hono/node-server': /^src\/server\//,
  '@cedar-policy/cedar-wasm': /^src\/policy\//,
  'node-llama-cpp': /^src\/gateway\/llama\//,
  yaml: /^src\/(?:core|policy|server|cli)\//,
  zod: /^src\//,
};

const SOCKETS = new Set([
  'net',
  'tls',
  'dgram',
  'http',
  'https',
  'http2',
  'dns',
  'dns/promises',
  'inspector',
]);
const SOCKET_FILES = /^src\/(?:egress\/|server\/listen\.ts$|leaktest\/world\/)/;

/** Another program opens sockets that nobody here checks; these rooms start one, and confine it. */
const PROGRAM_FILES = /^src\/(?:egress\/|gateway\/llama\/|leaktest\/world\/)/;
/** The one command that loads the suite: what runs a site never does. */
const LEAK_TEST_FILES = /^src\/(?:leaktest\/|cli\/leak-test\.ts$)/;
/** What can leave a guard out; only tests call it with another set than all. */
const GUARD_MAKERS = new Set(['createGuardedEgress', 'ALL_GUARDS']);
const GUARD_FILES = /^src\/egress\/(?:egress|guards)\.ts$/;

const HATCHES = new Set([
  'globalThis.fetch',
  'globalThis.WebSocket',
  'globalThis.EventSource',
  'process.binding',
  'process.dlopen',
]);

const SQL_FILES =
  /^src\/(?:storage\/|\w+\/(?:decisions\/|erasure\/|backup\/)?(?:store|migrations)\.ts$|\w+\/migrations\/)/;
/** Holds a database file open as a lock that dies with its process, however it dies; no data is in it. */
const LOCK_FILE = 'src/ledger/lock.ts';
const SQL_CALLS = new Set([
  'selectFrom',
  'insertInto',
  'updateTable',
  'deleteFrom',
  'createTable',
  'alterTable',
  'dropTable',
  'createIndex',
]);
const SQL_TEXT =
  /^\s*(?:select\s[\s\S]+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+(?:table|index|unique)|alter\s+table|drop\s+table|pragma\s+\w)/i;

/** The violations of the table of rooms, one line each: `file:line what is wrong`. */
export function architectureViolations(sources: readonly Source[]): readonly string[] {
  return sources.flatMap((source) => [
    ...roomOf(source.file).problems.map((problem) => `${source.file}:1 ${problem}`),
    ...source.imports.flatMap((found) => importViolations(source, found)),
    ...permitViolations(source),
    ...guardViolations(source),
    ...hatchViolations(source),
    ...sqlViolations(source),
  ]);
}

function roomOf(file: string): { readonly room: string | null; readonly problems: readonly string[] } {
  const [, room, rest] = /^src\/([^/]+)\/(.+)$/.exec(file) ?? [];
  if (room === undefined || rest === undefined) return { room: null, problems: ['lies in no room'] };
  if (!Object.hasOwn(ROOMS, room)) return { room: null, problems: [`lies in the unknown room ${room}`] };
  return { room, problems: [] };
}

function importViolations(source: Source, found: Import): readonly string[] {
  const problem = importProblem(source.file, found);
  return problem === null ? [] : [`${source.file}:${found.line} ${problem}`];
}

function importProblem(file: string, found: Import): string | null {
  if (found.kind === 'computed') return 'imports a module whose name cannot be read from the text';
  if (found.specifier.startsWith('.')) return relativeProblem(file, found.specifier);
  if (isTest(file)) return null;
  const name = packageName(found.specifier);
  if (file.startsWith(SELF_CONTAINED)) return `imports ${name} into the verifier, which stands alone`;
  if (isBuiltin(name)) return builtinProblem(file, found);
  const allowed = PACKAGES[name];
  if (allowed === undefined) return `imports ${name}, a package that no room may use`;
  // A room's contract may name the types of a library that only its store calls.
  if (allowed.test(file) || (name === 'kysely' && found.kind === 'type')) return null;
  return `imports ${name}, which belongs to another room`;
}

function relativeProblem(file: string, specifier: string): string | null {
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (isTest(file) && target.startsWith('test/')) return null;
  if (target.startsWith('src/leaktest/') && !LEAK_TEST_FILES.test(file))
    return `imports ${target}: only leak-test loads the suite`;
  if (!target.startsWith('src/')) return `imports ${target}, outside src`;
  if (leavesVerifier(file, target)) return `imports ${target} into the verifier, which stands alone`;
  const { room } = roomOf(file);
  const { room: other } = roomOf(target);
  if (room === null || other === room) return null;
  if (other === null) return `imports ${target}, which lies in no room`;
  if (ROOMS[room]?.includes(other) === true) return null;
  if (room === 'cli' && CLI_ALSO.some((pattern) => pattern.test(target))) return null;
  return `imports ${target}: ${room} may not import ${other}`;
}

function leavesVerifier(file: string, target: string): boolean {
  return file.startsWith(SELF_CONTAINED) && !isTest(file) && !target.startsWith(SELF_CONTAINED);
}

function builtinProblem(file: string, found: Import): string | null {
  const name = found.specifier.replace(/^node:/, '');
  if (!found.specifier.startsWith('node:')) return `imports ${name} without node:`;
  if (name === 'sqlite')
    return SQL_FILES.test(file) || file === LOCK_FILE ? null : 'opens a database outside storage';
  if ((name === 'child_process' || name === 'cluster') && !PROGRAM_FILES.test(file))
    return `imports ${found.specifier}: other programs are started in egress and gateway/llama`;
  if (SOCKETS.has(name) && found.kind !== 'type' && !SOCKET_FILES.test(file))
    return `imports ${found.specifier}: sockets are opened in egress and listened to in server/listen.ts`;
  return null;
}

function isBuiltin(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name);
}

function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

// A permit is what egress asks for before it opens a socket; only the road, which records first, hands one out.
function permitViolations(source: Source): readonly string[] {
  if (isTest(source.file) || /^src\/(?:crossing|egress)\//.test(source.file)) return [];
  const lines: string[] = [];
  const see = (name: string, offset: number): void => {
    if (name === 'mintPermit')
      lines.push(`${source.file}:${lineOf(source, offset)} names mintPermit outside crossing`);
  };
  walk(source, {
    Identifier: (node) => see(node.name, node.start),
    Literal: (node) => see(String(node.value), node.start),
  });
  return lines;
}

// Outside tests every guard holds: nothing that a site loads can name what would leave one out.
function guardViolations(source: Source): readonly string[] {
  if (isTest(source.file) || GUARD_FILES.test(source.file)) return [];
  const lines: string[] = [];
  const see = (name: string, offset: number): void => {
    if (GUARD_MAKERS.has(name))
      lines.push(`${source.file}:${lineOf(source, offset)} names ${name} outside tests`);
  };
  walk(source, {
    Identifier: (node) => see(node.name, node.start),
    Literal: (node) => see(String(node.value), node.start),
  });
  return lines;
}

// Ways around the imports that the table judges.
function hatchViolations(source: Source): readonly string[] {
  if (isTest(source.file)) return [];
  const lines: string[] = [];
  const add = (offset: number, what: string): void => {
    lines.push(`${source.file}:${lineOf(source, offset)} ${what}`);
  };
  walk(source, {
    CallExpression: (node) => {
      if (calleeName(node.callee) === 'eval') add(node.start, 'calls eval');
    },
    NewExpression: (node) => {
      if (calleeName(node.callee) === 'Function') add(node.start, 'makes a function from text');
    },
    MemberExpression: (node) => {
      const name = `${calleeName(node.object)}.${calleeName(node)}`;
      if (HATCHES.has(name)) add(node.start, `uses ${name}`);
    },
  });
  return lines;
}

function sqlViolations(source: Source): readonly string[] {
  if (isTest(source.file) || SQL_FILES.test(source.file) || source.file === LOCK_FILE) return [];
  const lines: string[] = [];
  const add = (offset: number, what: string): void => {
    lines.push(`${source.file}:${lineOf(source, offset)} ${what} outside store.ts`);
  };
  walk(source, {
    CallExpression: (node) => {
      const name = calleeName(node.callee);
      if (SQL_CALLS.has(name)) add(node.start, `calls ${name}`);
    },
    Literal: (node) => {
      if (typeof node.value === 'string' && SQL_TEXT.test(node.value)) add(node.start, 'writes SQL');
    },
    TemplateLiteral: (node) => {
      const text = node.quasis.map((part) => part.value.cooked ?? '').join('x');
      if (SQL_TEXT.test(text)) add(node.start, 'writes SQL');
    },
  });
  return lines;
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts');
}
