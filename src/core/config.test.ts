import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { inspect } from 'node:util';

import { configJsonSchema } from './config-schema.ts';
import { watchConfig } from './config-watch.ts';
import {
  defaultConfig,
  loadConfig,
  parseConfig,
  redactedConfig,
  type Config,
  type ConfigEnv,
} from './config.ts';
import type { Fault } from './fault.ts';
import { Secret } from './secret.ts';

const NO_ENV: ConfigEnv = { host: null, port: null, databaseUrl: null };
const parse = (text: string, env = NO_ENV) => parseConfig(text, { path: '/etc/sekisho/sekisho.yaml', env });

function directory(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-config-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('an empty file and no file give the defaults', () => {
  for (const config of [parse('# nothing\n'), defaultConfig(NO_ENV)]) {
    assert.equal(config.server.host, '127.0.0.1');
    assert.equal(config.server.port, 8420);
    assert.equal(config.storage.url.reveal(), 'sqlite');
    assert.equal(config.ledger.anchor, null);
    assert.equal(config.ledger.keys, null);
  }
  assert.equal(parse('{}').governance, '/etc/sekisho/governance');
  assert.equal(defaultConfig(NO_ENV).governance, null);
});

test('the environment outranks the file', () => {
  const env = { host: '127.0.0.9', port: 1, databaseUrl: new Secret('postgres://u:p@h/d') };
  const config = parse('server: {port: 9000}', env);
  assert.deepEqual([config.server.host, config.server.port], ['127.0.0.9', 1]);
  assert.equal(config.storage.url.reveal(), 'postgres://u:p@h/d');
});

test('an unknown key is named with its path and nearest neighbour', () => {
  for (const [text, message] of [
    ['server: {prot: 1}', /sekisho\.yaml: server\.prot is unknown; did you mean server\.port\?/],
    ['sever: {}', /: sever is unknown; did you mean server\?/],
    ['secrets: {a: {flie: x}}', /secrets\.a\.flie is unknown; did you mean secrets\.a\.file\?/],
    ['server: {tls: {cert: a, key: b, clientca: c}}', /did you mean server\.tls\.clientCa\?/],
    ['allowed: everything', /: allowed is unknown$/],
    ['__proto__: {x: 1}', /__proto__ is unknown/],
  ] as const) {
    assert.throws(() => parse(text), { code: 'core.config', message }, text);
  }
});

test('wrong values are named by path, not quoted', () => {
  for (const [text, message] of [
    ['server: {port: 70000}', /server\.port/],
    ['server: {port: "80"}', /server\.port/],
    ['server: {hosts: [https://x]}', /server\.hosts\.0: expected a host name/],
    ['server: {trustProxy: [10.0.0.1/8]}', /server\.trustProxy\.0: expected a prefix/],
    ['egress: {resolvers: [dns.example]}', /egress\.resolvers\.0: expected an IP address/],
    ['egress: {resolvers: ["10.0.0.53:0"]}', /egress\.resolvers\.0: expected an IP address/],
    ['egress: {resolvers: ["10.0.0.53:65536"]}', /egress\.resolvers\.0: expected an IP address/],
    ['egress: {resolvers: ["[10.0.0.53]:53"]}', /egress\.resolvers\.0: expected an IP address/],
    ['storage: {url: "mysql://user:hunter2@h"}', /storage\.url: expected sqlite/],
    ['[]', /the file/],
    ['text', /the file/],
  ] as const) {
    const isNamed = (error: Error) => message.test(error.message) && !/hunter2/.test(error.message);
    assert.throws(() => parse(text), isNamed, text);
  }
});

test('hostile YAML is refused: duplicate keys, tags, aliases, depth, size, several documents', () => {
  const bomb = `a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]`;
  for (const text of [
    'server: {port: 1}\nserver: {port: 2}',
    'server: !!js/function x',
    bomb,
    'server: &s {port: 1}\nstorage: *s',
    '['.repeat(100_000),
    `# ${'x'.repeat(300_000)}`,
    'server: {}\n---\nserver: {}',
    'server: {port: 1',
    '<<: {server: {port: 1}}',
    '\u0000',
  ]) {
    assert.throws(() => parse(text), { code: 'core.config' }, text.slice(0, 40));
  }
});

test('a syntax error tells the line and shows nothing of the text', () => {
  assert.throws(
    () => parse('storage: {}\nledger: {}\nsecrets: {a: "hunter2}'),
    (error: Error) => /line 3/.test(error.message) && !/hunter2/.test(error.message),
  );
});

test('listening beyond loopback without tls and trusted proxy is refused, wherever the host comes from', () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'sekisho.bank.example', '0']) {
    const expected = { code: 'core.config', message: /server\.host.*server\.tls or server\.trustProxy/ };
    assert.throws(() => parse(`server: {host: "${host}"}`), expected, host);
    assert.throws(() => parse('{}', { ...NO_ENV, host }), expected, host);
    assert.throws(() => defaultConfig({ ...NO_ENV, host }), expected, host);
  }
  for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost']) parse(`server: {host: "${host}"}`);
  parse('server: {host: 0.0.0.0, trustProxy: [10.0.0.0/8]}');
});

test('files are read from beside the configuration, and secrets never show', (t) => {
  const dir = directory(t);
  writeFileSync(path.join(dir, 'sakura'), 'hunter2\n');
  writeFileSync(path.join(dir, 'cert.pem'), '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n');
  writeFileSync(
    path.join(dir, 'key.pem'),
    '-----BEGIN PRIVATE KEY-----\nhunter3\n-----END PRIVATE KEY-----\n',
  );
  writeFileSync(
    path.join(dir, 'sekisho.yaml'),
    'server: {host: 0.0.0.0, tls: {cert: cert.pem, key: key.pem}}\n' +
      'storage: {url: "postgres://u:hunter4@h/d"}\nsecrets: {sakura: {file: sakura}}\n',
  );
  const config = loadConfig(path.join(dir, 'sekisho.yaml'), NO_ENV);
  assert.equal(config.secrets.get('sakura')?.reveal(), 'hunter2');
  assert.match(config.server.tls?.key.reveal() ?? '', /hunter3/);
  const redacted = redactedConfig(config);
  assert.deepEqual(redacted['storage'], { url: 'postgres://[secret]' });
  assert.deepEqual(redacted['secrets'], { sakura: { file: 'sakura' } });
  for (const shown of [JSON.stringify(redacted), inspect(redacted, { depth: 9 })])
    assert.ok(!shown.includes('hunter'), shown);
});

test('a file that is named but cannot be used refuses and names its setting', (t) => {
  const dir = directory(t);
  writeFileSync(path.join(dir, 'empty'), '\n');
  writeFileSync(path.join(dir, 'text.pem'), 'not a certificate');
  const at = (text: string) => parseConfig(text, { path: path.join(dir, 'sekisho.yaml'), env: NO_ENV });
  assert.throws(() => at('secrets: {a: {file: absent}}'), { message: /secrets\.a\.file.*ENOENT/ });
  assert.throws(() => at('secrets: {a: {file: empty}}'), { message: /secrets\.a\.file/ });
  assert.throws(() => at('secrets: {a: {file: .}}'), { code: 'core.unreadable_file' });
  assert.throws(() => at('egress: {ca: text.pem}'), { message: /egress\.ca: expected a PEM certificate/ });
});

test('the result is frozen', () => {
  const config = parse('server: {hosts: [a.example]}');
  assert.throws(() => Reflect.apply(Array.prototype.push, config.server.hosts, ['b.example']), TypeError);
  assert.ok(Object.isFrozen(config.server) && Object.isFrozen(config));
});

test('the committed JSON Schema is the one of the program', () => {
  const committed = readFileSync(new URL('../../docs/config.schema.json', import.meta.url), 'utf8');
  const write =
    "node bin/node.cjs -e \"import('./src/core/config-schema.ts').then((m) => process.stdout.write(JSON.stringify(m.configJsonSchema(), null, 2) + '\\n'))\" > docs/config.schema.json";
  assert.deepEqual(JSON.parse(committed), configJsonSchema(), `write it anew: ${write}`);
});

test('a changed file takes effect once it is steady; a bad one keeps the old and is reported once', async (t) => {
  const file = path.join(directory(t), 'sekisho.yaml');
  const write = (text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write('server: {port: 1}');
  const seen: (number | string)[] = [];
  const clock = steppedClock();
  const watch = watchConfig({
    file,
    env: NO_ENV,
    clock,
    current: loadConfig(file, NO_ENV),
    onChange: (config: Config) => seen.push(config.server.port),
    onError: (fault: Fault) => seen.push(fault.code),
  });
  await clock.step(3);
  assert.deepEqual(seen, []);
  write('server: {port: 2}');
  await clock.step(1);
  assert.deepEqual(seen, [], 'one reading is not enough: the file may be half written');
  await clock.step(1);
  assert.deepEqual(seen, [2]);
  write('server: {prot: 3}');
  await clock.step(4);
  assert.deepEqual(seen, [2, 'core.config']);
  write('server: {port: 2}');
  await clock.step(3);
  rmSync(file);
  await clock.step(3);
  assert.deepEqual(seen, [2, 'core.config', 2, 'core.unreadable_file']);
  watch[Symbol.dispose]();
  write('server: {port: 4}');
  await clock.step(3);
  assert.equal(seen.length, 4);
});

test('a secret that was rotated in its file is a change', async (t) => {
  const dir = directory(t);
  const file = path.join(dir, 'sekisho.yaml');
  writeFileSync(path.join(dir, 's'), 'old');
  writeFileSync(file, 'secrets: {s: {file: s}}');
  const seen: (string | undefined)[] = [];
  const clock = steppedClock();
  using _watch = watchConfig({
    file,
    env: NO_ENV,
    clock,
    current: loadConfig(file, NO_ENV),
    onChange: (config: Config) => seen.push(config.secrets.get('s')?.reveal()),
    onError: (fault: Fault) => seen.push(fault.code),
  });
  writeFileSync(path.join(dir, 's'), 'new');
  await clock.step(3);
  assert.deepEqual(seen, ['new']);
});

function steppedClock() {
  let wake: (() => void) | null = null;
  return {
    now: () => 0,
    elapsed: () => 0,
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        wake = resolve;
        signal?.addEventListener('abort', () => reject(new Error('aborted')));
      }),
    async step(times: number): Promise<void> {
      for (let i = 0; i < times; i++) {
        wake?.();
        await new Promise(setImmediate);
      }
    },
  };
}

test('a key that the schema library would drop without a word is refused', () => {
  for (const text of ['secrets: {__proto__: {file: x}}', '__proto__: {server: {port: 1}}'])
    assert.throws(() => parse(text), { code: 'core.config', message: /__proto__ is unknown/ });
});
