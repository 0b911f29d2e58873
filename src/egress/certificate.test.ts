import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { identity } from '../../test/support/certificates.ts';
import type { Identity } from '../../test/support/certificates.ts';
import { BUNDLE, egressWithout, network, send } from '../../test/support/egress.ts';
import { dnsServer } from '../../test/support/dns-server.ts';
import { httpSide, tcpSide } from '../../test/support/far-side.ts';
import type { FarSide } from '../../test/support/far-side.ts';
import { createTrust } from './certificate.ts';
import type { Removable } from './guards.ts';
import type { EndpointNetwork } from './types.ts';

const HOST = 'api.sakura.test';
const root = identity({ name: 'root', ca: true });
const middle = identity({ name: 'middle', ca: true, by: root });
const leaf = identity({ name: 'leaf', by: root, hosts: [HOST] });
const deep = identity({ name: 'deep', by: middle, hosts: [HOST] });
const rogueRoot = identity({ name: 'root', ca: true });
const OTHER = `sha256:${'0'.repeat(64)}`;

interface Case {
  readonly side: Identity;
  readonly chain?: readonly Identity[];
  readonly ca?: Identity | null;
  readonly facts: Partial<EndpointNetwork>;
  readonly off?: readonly Removable[];
}

async function outcome(
  wanted: Case,
): Promise<{ error: string | null; requests: number; spki: string | null }> {
  let requests = 0;
  const tls = { identity: wanted.side, chain: wanted.chain ?? [] };
  await using side = await httpSide(
    (asked, reply) => {
      requests++;
      asked.resume();
      reply.end('{}');
    },
    { tls },
  );
  await using names = await dnsServer((_, type) => (type === 'A' ? ['127.0.0.1'] : []));
  const ca = wanted.ca === null ? null : Buffer.from((wanted.ca ?? root).cert);
  await using egress = egressWithout(wanted.off ?? [], { resolvers: [names.server], ca });
  const facts = network(side.port, { url: `https://${HOST}:${side.port}`, hosts: [HOST], ...wanted.facts });
  const result = await send(egress.endpoint(facts, BUNDLE));
  return { error: result.error, requests, spki: result.call.observed()?.spki ?? null };
}

const pinned = { pins: [leaf.spki, OTHER] };
const issued = { issuer: root.spki };

test('a pinned certificate of the declared authority is used and observed', async () => {
  assert.deepEqual(await outcome({ side: leaf, facts: pinned }), {
    error: null,
    requests: 1,
    spki: leaf.spki,
  });
});

test('an issuer pin is found at any height of the verified chain, sent or held here', async () => {
  for (const issuer of [root, middle])
    assert.deepEqual(
      await outcome({ side: deep, chain: [middle], facts: { issuer: issuer.spki } }),
      { error: null, requests: 1, spki: deep.spki },
      issuer.name,
    );
});

const denied = { requests: 0, spki: null };

test('guard certificate: another authority, the wrong name and an expired date are refused', async () => {
  const rogue = identity({ name: 'leaf', by: rogueRoot, hosts: [HOST], keyOf: leaf });
  const misnamed = identity({ name: HOST, by: root, hosts: ['other.test'], keyOf: leaf });
  const expired = identity({ name: 'leaf', by: root, hosts: [HOST], keyOf: leaf, notAfter: '210101000000Z' });
  const selfSigned = identity({ name: HOST, hosts: [HOST], keyOf: leaf });
  for (const [what, side] of Object.entries({ rogue, misnamed, expired, selfSigned })) {
    const wanted = { side, facts: pinned };
    assert.deepEqual(await outcome(wanted), { ...denied, error: 'egress.denied:certificate' }, what);
    assert.equal((await outcome({ ...wanted, off: ['certificate'] })).error, null, what);
  }
});

test('a declared authority stands beside the built-in roots', () => {
  const bundled = getCACertificates('bundled');
  const { roots } = createTrust(Buffer.from(root.cert));
  assert.deepEqual(roots, [...bundled, root.cert.trim()]);
  assert.deepEqual(createTrust(null).roots, bundled);
});

test('guard certificate: no other private authority counts, and none without one declared', async () => {
  assert.equal((await outcome({ side: leaf, ca: null, facts: pinned })).error, 'egress.denied:certificate');
  assert.equal(
    (await outcome({ side: leaf, ca: rogueRoot, facts: pinned })).error,
    'egress.denied:certificate',
  );
});

test('guard pin: a good certificate with another key is refused', async () => {
  const renewed = identity({ name: 'leaf', by: root, hosts: [HOST] });
  const wanted = { side: renewed, facts: pinned };
  assert.deepEqual(await outcome(wanted), { ...denied, error: 'egress.denied:pin' });
  assert.equal((await outcome({ ...wanted, off: ['pin'] })).error, null);
});

test('guard pin: the pinned issuer sent along but not in the chain counts for nothing', async () => {
  const wanted = { side: leaf, chain: [root, middle], facts: { issuer: middle.spki } };
  assert.deepEqual(await outcome(wanted), { ...denied, error: 'egress.denied:pin' });
  assert.equal((await outcome({ ...wanted, off: ['pin'] })).error, null);
});

test('guard pin: a certificate with the issuer name but not its signature counts for nothing', async () => {
  const namesake = identity({ name: 'middle', ca: true, by: rogueRoot });
  // Without the verification of the chain, so that the pin alone stands against it.
  const wanted = {
    side: deep,
    chain: [namesake],
    facts: { issuer: namesake.spki },
    off: ['certificate'] as const,
  };
  assert.deepEqual(await outcome(wanted), { ...denied, error: 'egress.denied:pin' });
});

test('guard pin: a pinned key in a certificate that is no authority is no issuer', async () => {
  // Its holder can sign, but was never given the right to.
  const holder = identity({ name: 'middle', by: root, hosts: ['holder.test'], keyOf: middle });
  const wanted = {
    side: deep,
    chain: [holder],
    facts: { issuer: middle.spki },
    off: ['certificate'] as const,
  };
  assert.deepEqual(await outcome(wanted), { ...denied, error: 'egress.denied:pin' });
});

test('an endpoint by address is verified by the address in its certificate', async () => {
  const byAddress = identity({ name: 'a', by: root, hosts: ['127.0.0.1'] });
  await using side = await httpSide((_, reply) => reply.end('{}'), { tls: { identity: byAddress } });
  await using wrong = await httpSide((_, reply) => reply.end('{}'), { tls: { identity: leaf } });
  await using egress = egressWithout([], { ca: Buffer.from(root.cert) });
  const at = (port: number) => network(port, { url: `https://127.0.0.1:${port}`, ...issued });
  assert.equal((await send(egress.endpoint(at(side.port), BUNDLE))).error, null);
  assert.equal((await send(egress.endpoint(at(wrong.port), BUNDLE))).error, 'egress.denied:certificate');
});

test('a far side that speaks no TLS is unreachable and reads no request', async () => {
  let heard = '';
  await using side = await tcpSide((socket) => {
    socket.on('data', (data) => (heard += data.toString('latin1')));
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
  });
  await using egress = egressWithout([], { ca: Buffer.from(root.cert) });
  const facts = network(side.port, { url: `https://127.0.0.1:${side.port}`, ...issued });
  assert.equal((await send(egress.endpoint(facts, BUNDLE))).error, 'egress.unreachable');
  assert.ok(!heard.includes('CANARY'));
});

/** A CONNECT proxy to loopback that remembers what it was asked. */
function proxySide(
  port: () => number,
  asked: string[],
  answer = 'HTTP/1.1 200 Fine\r\n\r\n',
): Promise<FarSide> {
  return tcpSide((socket) =>
    socket.once('data', (head) => {
      asked.push(head.toString('latin1'));
      socket.write(answer);
      if (!answer.includes('200')) return;
      const far = connect(port(), '127.0.0.1');
      far.on('error', () => socket.destroy());
      socket.pipe(far).pipe(socket);
    }),
  );
}

test('guard proxy: the declared proxy carries the tunnel, sees no word of it, and the certificate still counts', async () => {
  const asked: string[] = [];
  await using side = await httpSide((_, reply) => reply.end('{}'), { tls: { identity: leaf } });
  await using proxy = await proxySide(() => side.port, asked);
  await using egress = egressWithout([], { ca: Buffer.from(root.cert) });
  const facts = network(0, {
    url: `https://${HOST}`,
    hosts: [HOST],
    ...issued,
    proxy: `http://127.0.0.1:${proxy.port}`,
  });
  const result = await send(egress.endpoint(facts, BUNDLE));
  assert.equal(result.error, null);
  assert.equal(result.call.observed()?.peer, `127.0.0.1:${proxy.port}`);
  assert.equal(result.call.observed()?.spki, leaf.spki);
  assert.deepEqual(asked, [`CONNECT ${HOST}:443 HTTP/1.1\r\nhost: ${HOST}:443\r\n\r\n`]);

  const other = { ...facts, issuer: OTHER };
  assert.equal((await send(egress.endpoint(other, BUNDLE))).error, 'egress.denied:pin');
  const elsewhere = { ...facts, addresses: ['127.0.0.9/32'] };
  assert.equal((await send(egress.endpoint(elsewhere, BUNDLE))).error, 'egress.denied:address');
});

test('guard proxy: a proxy that refuses, redirects or babbles opens nothing', async () => {
  for (const answer of [
    'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n',
    'HTTP/1.1 302 Found\r\nlocation: http://127.0.0.4/\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n surprise',
    `HTTP/1.1 299 Long\r\n${'x: y\r\n'.repeat(2_000)}`,
    'nonsense\r\n\r\n',
  ]) {
    await using proxy = await tcpSide((socket) => socket.once('data', () => socket.write(answer)));
    await using egress = egressWithout([], { ca: Buffer.from(root.cert) });
    const facts = {
      url: `https://${HOST}`,
      hosts: [HOST],
      ...issued,
      proxy: `http://127.0.0.1:${proxy.port}`,
    };
    const result = await send(egress.endpoint(network(0, facts), BUNDLE));
    assert.equal(result.error, 'egress.denied:proxy', answer.slice(0, 20));
  }
});
