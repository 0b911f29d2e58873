import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { allLeaves, residentBytes, until } from './support/observe.ts';
import { startProvider, type Provider, type ReceivedRequest } from './support/provider.ts';
import { chat, chatBody, leavesOf, logKey, oneModel, receiptOf, verified } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const MEBIBYTE = 1024 * 1024;
/** interface.md: SIGTERM drains and exits 0 within this. */
const EXIT_MS = 10_000;
const CANCEL_MS = 100;
const HOST = 'sekisho.bank.example';

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let home: Provider;
let site: Site;

before(async () => {
  home = held.use(await startProvider());
  site = await startSite({ governance: oneModel([{ id: 'home', provider: home }]), config: { server: {} } });
  held.defer(async () => void (await site.stop()));
});

after(async () => held.disposeAsync());

test('when the client leaves before a plain answer, the provider is left within 100 ms', async () => {
  const took: number[] = [];
  for (let i = 0; i < 5; i++) {
    home.behave({ kind: 'silence' });
    const before = home.requests.length;
    const request = post(chatBody('leave me'));
    await home.arrived(before + 1);
    took.push(await cancelled(() => request.destroy(), home.requests[before]));
  }
  assert.ok(median(took) < CANCEL_MS, `${took.join()} ms`);
  await until(async () => gone(await allLeaves(site)).length >= 5, 'the outcome says that the client left');
  for (const { http, c } of gone(await allLeaves(site))) {
    assert.equal(http, null);
    assert.equal(Object(c).res, null);
  }
});

test('when the client leaves a stream, the provider is left within 100 ms', async () => {
  const took: number[] = [];
  let receipt = '';
  const body = chatBody('a long answer that goes on', { stream: true });
  for (let i = 0; i < 5; i++) {
    home.behave({ kind: 'drip', everyMs: 50, pieces: 100 });
    const before = home.requests.length;
    const response = await responseOf(post(body));
    await new Promise((resolve) => response.once('data', resolve));
    receipt = String(response.headers['sekisho-receipt']);
    took.push(await cancelled(() => response.destroy(), home.requests[before]));
  }
  assert.ok(median(took) < CANCEL_MS, `${took.join()} ms`);
  const { text } = await site.call(`/v1/receipts/${receipt}?wait=10`);
  const [leaves] = leavesOf(text);
  assert.deepEqual([leaves?.outcome?.['status'], leaves?.outcome?.['http']], ['client-gone', 200]);
  const known = { vkeys: [await logKey(site)] };
  const alone = await verifyReceipt(Buffer.from(text), known, { request: Buffer.from(body) });
  assert.deepEqual([alone.exit, alone.state], [0, 'closed'], alone.reasons.join());
  const withBody = await verifyReceipt(Buffer.from(text), known, { response: Buffer.from('data') });
  assert.equal(withBody.exit, 2, 'what a client that left has read cannot be compared');
});

test('a client that reads slowly slows the provider down, and memory stays bounded', async () => {
  home.behave({ kind: 'endless-stream' });
  const before = home.requests.length;
  const resident = residentBytes(site.pid);
  const socket = net.connect(site.port, '127.0.0.1');
  socket.on('error', () => {});
  const body = chatBody('words without end', { stream: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${site.adminKey}\r\n`;
  socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  const full = await standstill(() => home.sent);
  assert.ok(residentBytes(site.pid) - resident < 64 * MEBIBYTE, 'the site keeps no more than buffers');
  socket.resume();
  await until(() => home.sent > full + 16 * MEBIBYTE, 'a client that reads again is served again');
  assert.ok(residentBytes(site.pid) - resident < 128 * MEBIBYTE);
  const took = await cancelled(() => socket.destroy(), home.requests[before]);
  assert.ok(took < 10 * CANCEL_MS, `${took} ms`);
  await until(() => home.open <= 1, 'no socket to the provider is left over');
});

test('a changed file takes effect without dropping a stream, and a broken one changes nothing', async () => {
  home.behave({ kind: 'drip', everyMs: 100, pieces: 40 });
  const running = chat(site, chatBody('x'.repeat(40), { stream: true }));
  assert.equal(await statusAs(HOST), 421);
  edit((config) => ({ ...config, server: { hosts: [HOST] } }));
  await until(async () => (await statusAs(HOST)) === 200, 'the new host is accepted');
  edit((config) => ({ ...config, sevrer: { hosts: [] } }));
  const named = /sevrer is unknown; did you mean server\?/;
  await until(() => named.test(site.stderr()), 'standard error names the unknown key and its neighbour');
  assert.equal(await statusAs(HOST), 200);
  edit((config) => ({ ...config, sevrer: undefined }));
  const asked = await running;
  assert.ok(asked.text.endsWith('data: [DONE]\n\n'), asked.text.slice(-200));
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
});

test('SIGTERM takes nothing new, lets a stream come to its end, and exits 0', async () => {
  home.behave({ kind: 'drip', everyMs: 100, pieces: 20 });
  const before = home.requests.length;
  const running = chat(site, chatBody('x'.repeat(20), { stream: true }));
  await home.arrived(before + 1);
  const begun = performance.now();
  const ending = site.stop({ keep: true });
  await until(async () => refused(site.port), 'nothing new is taken');
  const asked = await running;
  assert.ok(asked.text.endsWith('data: [DONE]\n\n'), asked.text.slice(-200));
  assert.deepEqual(await ending, { code: 0, signal: null });
  assert.ok(performance.now() - begun < EXIT_MS);
  site = await startSite({ root: site.root });
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
});

test('SIGTERM does not wait for an answer that never comes, and its road is closed', async () => {
  home.behave({ kind: 'drip', everyMs: 50, pieces: 2000 });
  const before = home.requests.length;
  const running = chat(site, chatBody('x'.repeat(2000), { stream: true }));
  await home.arrived(before + 1);
  const begun = performance.now();
  assert.deepEqual(await site.stop({ keep: true }), { code: 0, signal: null });
  assert.ok(performance.now() - begun < EXIT_MS, `${performance.now() - begun} ms`);
  const asked = await running;
  assert.equal(asked.broken, true);
  assert.doesNotMatch(asked.text, /\[DONE\]/);
  site = await startSite({ root: site.root });
  const receipt = await receiptOf(site, asked);
  assert.equal(JSON.parse(receipt).state, 'closed');
});

/** Milliseconds until the provider saw that nobody waits for this request any more. */
async function cancelled(leave: () => void, received: ReceivedRequest | undefined): Promise<number> {
  assert.ok(received !== undefined);
  const left = performance.now();
  leave();
  const { at, clientLeft } = await received.over;
  assert.equal(clientLeft, true);
  return at - left;
}

function post(body: string): http.ClientRequest {
  const headers = { authorization: `Bearer ${site.adminKey}`, 'content-type': 'application/json' };
  const request = http.request(new URL('/v1/chat/completions', site.url), {
    method: 'POST',
    headers,
    agent: false,
  });
  request.on('error', () => {});
  return request.end(body);
}

function responseOf(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve) => {
    request.on('response', (response: http.IncomingMessage) => {
      response.on('error', () => {});
      resolve(response);
    });
  });
}

function gone(
  leaves: readonly Readonly<Record<string, unknown>>[],
): readonly Readonly<Record<string, unknown>>[] {
  return leaves.filter((leaf) => leaf['status'] === 'client-gone');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

// The value once it was the same for as long as a reader that reads at all would never take.
async function standstill(read: () => number): Promise<number> {
  let [last, since] = [read(), performance.now()];
  await until(() => {
    if (read() !== last) [last, since] = [read(), performance.now()];
    return performance.now() - since > 300;
  }, 'the provider is not read any more');
  return last;
}

function statusAs(host: string): Promise<number> {
  const headers = { authorization: `Bearer ${site.adminKey}`, host };
  return new Promise((resolve, reject) => {
    const request = http.get(new URL('/v1/models', site.url), { headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
  });
}

function edit(change: (config: Record<string, unknown>) => Record<string, unknown>): void {
  const file = path.join(site.root, 'sekisho.yaml');
  const config = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, stringify(change(config)));
}

function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => resolve(true));
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}
