import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';

import { readEnv } from './env.ts';

test('reads every variable, and an empty one counts as not set', () => {
  const env = readEnv({
    SEKISHO_CONFIG: 'a.yaml',
    SEKISHO_DATA: 'd',
    SEKISHO_HOST: '127.0.0.2',
    SEKISHO_PORT: '0',
    SEKISHO_URL: 'http://127.0.0.1:1',
    SEKISHO_KEY: 'sek_x',
    SEKISHO_LOG_KEY: '',
    SEKISHO_LAUNCHER: '1',
    LANG: 'ja_JP.UTF-8',
    PATH: '/bin',
  });
  assert.equal(env.config, 'a.yaml');
  assert.equal(env.port, 0);
  assert.equal(env.key?.reveal(), 'sek_x');
  assert.equal(env.logKey, null);
  assert.equal(env.locale, 'ja');
  assert.deepEqual(env.dangers, []);
  assert.ok(!inspect(env).includes('sek_x') && !JSON.stringify(env).includes('sek_x'));
});

test('names the nearest variable for one that does not exist', () => {
  assert.throws(() => readEnv({ SEKISHO_HOTS: 'x' }), {
    code: 'core.environment',
    message: 'SEKISHO_HOTS is unknown; did you mean SEKISHO_HOST?',
  });
});

test('what Kubernetes sets for a Service named sekisho is not taken for settings', () => {
  const service = (name: string): Record<string, string> => ({
    [`${name}_SERVICE_HOST`]: '10.96.0.7',
    [`${name}_SERVICE_PORT`]: '8420',
    [`${name}_SERVICE_PORT_HTTP`]: '8420',
    [`${name}_PORT`]: 'tcp://10.96.0.7:8420',
    [`${name}_PORT_8420_TCP`]: 'tcp://10.96.0.7:8420',
    [`${name}_PORT_8420_TCP_PROTO`]: 'tcp',
    [`${name}_PORT_8420_TCP_PORT`]: '8420',
    [`${name}_PORT_8420_TCP_ADDR`]: '10.96.0.7',
  });
  const env = readEnv({ ...service('SEKISHO'), ...service('SEKISHO_GATEWAY'), SEKISHO_HOST: '127.0.0.3' });
  assert.equal(env.port, null);
  assert.equal(env.host, '127.0.0.3');
  for (const mistaken of ['SEKISHO_SERVICE', 'SEKISHO_PORTS', 'SEKISHO_PORT_8420', 'SEKISHO_LOG_PORT'])
    assert.throws(() => readEnv({ [mistaken]: '8420' }), { code: 'core.environment' }, mistaken);
});

test('SEKISHO_LOG is a level', () => {
  assert.equal(readEnv({ SEKISHO_LOG: 'warn' }).log, 'warn');
  assert.equal(readEnv({}).log, null);
  for (const level of ['WARN', 'debug', '1'])
    assert.throws(() => readEnv({ SEKISHO_LOG: level }), /info, warn, error, silent/, level);
});

test('refuses a bad port', () => {
  for (const port of ['65536', '-1', '80x', ' 80', '0x50', '1e3'])
    assert.throws(() => readEnv({ SEKISHO_PORT: port }), { code: 'core.environment' }, port);
});

test('reads a secret from a file, without its final line break', (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-env-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'key');
  writeFileSync(file, 'sek_from_file\n');
  assert.equal(readEnv({ SEKISHO_ADMIN_KEY_FILE: file }).adminKey?.reveal(), 'sek_from_file');
  assert.throws(() => readEnv({ SEKISHO_KEY_FILE: path.join(dir, 'absent') }), {
    code: 'core.unreadable_file',
    message: /SEKISHO_KEY_FILE.*ENOENT/,
  });
  assert.throws(() => readEnv({ SEKISHO_KEY_FILE: '/dev/zero' }), { code: 'core.unreadable_file' });
});

test('refuses a secret given both ways without showing it', () => {
  assert.throws(
    () => readEnv({ SEKISHO_KEY: 'sek_hidden', SEKISHO_KEY_FILE: '/nowhere' }),
    (error: Error) => /SEKISHO_KEY and SEKISHO_KEY_FILE/.test(error.message) && !/hidden/.test(error.message),
  );
});

test('lists what would redirect, unlock or open the process', () => {
  const planted = {
    HTTP_PROXY: 'proxy',
    https_proxy: 'proxy',
    All_Proxy: 'proxy',
    NODE_USE_ENV_PROXY: 'proxy',
    NODE_EXTRA_CA_CERTS: 'trust',
    NODE_TLS_REJECT_UNAUTHORIZED: 'trust',
    SSL_CERT_FILE: 'trust',
    SSL_CERT_DIR: 'trust',
  };
  for (const [name, effect] of Object.entries(planted))
    assert.deepEqual(readEnv({ [name]: 'x' }).dangers, [{ name, effect }], name);
  const options = {
    '--use-env-proxy': 'proxy',
    '--use-system-ca': 'trust',
    '--use-openssl-ca': 'trust',
    '--tls-min-v1.0': 'trust',
    '--inspect=0.0.0.0:9229': 'inspect',
    '--tls-keylog=/tmp/k': 'inspect',
    '--require ./x.cjs': 'code',
    '-r ./x.cjs': 'code',
  };
  for (const [flag, effect] of Object.entries(options))
    assert.deepEqual(
      readEnv({ NODE_OPTIONS: `--max-old-space-size=512 ${flag}` }).dangers,
      [{ name: 'NODE_OPTIONS', effect }],
      flag,
    );
  assert.deepEqual(readEnv({ NODE_OPTIONS: '--max-old-space-size=512', HTTP_PROXY: '' }).dangers, []);
});
