import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { identity } from '../../test/support/certificates.ts';
import { httpSide, tcpSide } from '../../test/support/far-side.ts';

// What a process with these variables reaches, by this room's way (`egress`) or by the runtime's own (`fetch`).
const PROGRAM = `
import { BUNDLE, egressWithout, network, send } from ${JSON.stringify(import.meta.resolve('../../test/support/egress.ts'))};
const [way, port, secure, ca] = process.argv.slice(1);
const url = (secure === 'tls' ? 'https' : 'http') + '://127.0.0.1:' + port;
if (way === 'fetch') {
  await fetch(url, { method: 'POST', body: 'CANARY' }).then(() => console.log('null'), (e) => console.log(e.cause?.code));
} else {
  await using egress = egressWithout([]);
  const issuer = secure === 'tls' ? ca : null;
  console.log((await send(egress.endpoint(network(Number(port), { url, issuer }), BUNDLE))).error);
}`;

interface Run {
  readonly way: 'egress' | 'fetch';
  readonly port: number;
  readonly secure: boolean;
  readonly issuer?: string;
  readonly env: Readonly<Record<string, string>>;
}

async function run({ way, port, secure, issuer, env }: Run): Promise<string> {
  const code = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', PROGRAM];
  const child = spawn(
    process.execPath,
    [...code, way, String(port), secure ? 'tls' : 'plain', issuer ?? ''],
    {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  return (await text(child.stdout)).trim();
}

test('proxies of the environment see nothing', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using proxy = await tcpSide((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 502 No\r\n\r\n')),
  );
  const url = `http://127.0.0.1:${proxy.port}`;
  const env = {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    http_proxy: url,
    ALL_PROXY: url,
    NODE_USE_ENV_PROXY: '1',
    NODE_OPTIONS: '--use-env-proxy',
  };
  assert.equal(await run({ way: 'egress', port: side.port, secure: false, env }), 'null');
  assert.equal(proxy.connections(), 0);
  await run({ way: 'fetch', port: side.port, secure: false, env });
  assert.ok(proxy.connections() > 0, 'the variables do move the runtime itself');
});

test('certificate variables of the environment add no trust and take no check away', async () => {
  const rogue = identity({ name: 'rogue', ca: true });
  const leaf = identity({ name: 'leaf', by: rogue, hosts: ['127.0.0.1'] });
  await using side = await httpSide(
    (asked, reply) => {
      asked.resume();
      reply.end('{}');
    },
    { tls: { identity: leaf } },
  );
  const folder = await mkdtemp(join(tmpdir(), 'sekisho-ca-'));
  const file = join(folder, 'rogue.pem');
  await writeFile(file, rogue.cert);
  const at = { port: side.port, secure: true, issuer: rogue.spki };
  for (const env of [
    { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    { NODE_EXTRA_CA_CERTS: file },
    { SSL_CERT_FILE: file, NODE_OPTIONS: '--use-openssl-ca' },
    { SSL_CERT_FILE: file, NODE_USE_SYSTEM_CA: '1' },
  ]) {
    assert.equal(await run({ ...at, way: 'egress', env }), 'egress.denied:certificate', JSON.stringify(env));
    assert.equal(await run({ ...at, way: 'fetch', env }), 'null', JSON.stringify(env));
  }
  await rm(folder, { recursive: true });
});
