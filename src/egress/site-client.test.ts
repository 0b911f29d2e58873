import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { identity, type Identity } from '../../test/support/certificates.ts';
import { httpSide, type FarSide } from '../../test/support/far-side.ts';
import { SiteClient, type SiteTrust } from './site-client.ts';

const root = identity({ name: 'root', ca: true });
const leaf = identity({ name: 'leaf', by: root, hosts: ['127.0.0.1'] });

function site(tls: Identity): Promise<FarSide> {
  return httpSide((_, reply) => reply.end('{}'), { tls: { identity: tls } });
}

async function status(port: number, trust: SiteTrust): Promise<number | string> {
  await using client = new SiteClient(`https://127.0.0.1:${port}`, trust);
  try {
    const reply = await client.send({ method: 'GET', path: '/' });
    await reply.bytes();
    return reply.status;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'thrown';
  }
}

test('a private authority counts when it is given, and not otherwise', async () => {
  await using side = await site(leaf);
  assert.equal(await status(side.port, { ca: Buffer.from(root.cert) }), 200);
  assert.equal(await status(side.port, {}), 'egress.unreachable');
});

test('a site is known by its own certificate, whatever name and issuer that has', async () => {
  const named = identity({ name: 'a', by: root, hosts: ['sekisho.test'] });
  const alone = identity({ name: 'b', hosts: ['sekisho.test'] });
  for (const own of [named, alone]) {
    await using side = await site(own);
    assert.equal(await status(side.port, { own: own.cert }), 200, own.name);
    assert.equal(await status(side.port, { own: leaf.cert }), 'egress.unreachable', own.name);
  }
  // The same authority, the right address, but not the certificate that was named.
  await using other = await site(identity({ name: 'c', by: root, hosts: ['127.0.0.1'] }));
  assert.equal(await status(other.port, { own: leaf.cert }), 'egress.unreachable');
  assert.equal(await status(other.port, { own: root.cert }), 'egress.unreachable');
});

const PROGRAM = `
import { SiteClient } from ${JSON.stringify(import.meta.resolve('./site-client.ts'))};
const [url] = process.argv.slice(1);
await using client = new SiteClient(url);
await client.send({ method: 'GET', path: '/' }).then(({ status }) => console.log(status), ({ code }) => console.log(code));`;

test('certificate variables of the environment add no trust and take no check away', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sekisho-ca-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'root.pem');
  await writeFile(file, root.cert);
  await using side = await site(leaf);
  for (const env of [
    { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    { NODE_EXTRA_CA_CERTS: file },
    { SSL_CERT_FILE: file, NODE_OPTIONS: '--use-openssl-ca' },
    { SSL_CERT_FILE: file, NODE_USE_SYSTEM_CA: '1' },
  ]) {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '--eval', PROGRAM, `https://127.0.0.1:${side.port}`],
      { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    assert.equal((await text(child.stdout)).trim(), 'egress.unreachable', JSON.stringify(env));
  }
});
