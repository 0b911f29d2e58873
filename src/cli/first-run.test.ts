import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEnv } from '../core/env.ts';
import { loopbackUrl, verification } from './first-run.ts';

test('a site reaches itself by a loopback name, whatever it listens on', () => {
  assert.equal(loopbackUrl('http://0.0.0.0:8420'), 'http://127.0.0.1:8420');
  assert.equal(loopbackUrl('http://[::]:8420'), 'http://[::1]:8420');
  assert.equal(loopbackUrl('http://127.0.0.1:8420'), 'http://127.0.0.1:8420');
  assert.equal(loopbackUrl('http://localhost:8420'), 'http://localhost:8420');
});

test('a site that it cannot reach so is not asked', () => {
  for (const url of ['http://10.0.0.5:8420', 'http://sekisho.bank.example:8420', 'https://127.0.0.1:8420']) {
    assert.equal(loopbackUrl(url), null, url);
  }
});

test('a check that fails is not called verified', async () => {
  const bodies = { request: Buffer.from('{}'), response: Buffer.from('data') };
  const vkey = 'localhost/test+00000000+AAAA';
  for (const [locale, label] of [
    ['en_US.UTF-8', /^verification failed: /],
    ['ja_JP.UTF-8', /^検証に失敗: /],
  ] as const) {
    const io = { env: readEnv({ LANG: locale }) };
    const { text, holds } = await verification(Buffer.from('{"v":1}'), bodies, { vkey, io });
    assert.equal(holds, false);
    assert.match(text, label);
  }
});
