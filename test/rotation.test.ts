import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runCli, type Ran } from './support/cli.ts';
import { allLeaves } from './support/observe.ts';
import { startProvider } from './support/provider.ts';
import { chat, chatBody, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

interface Listed {
  readonly logs: readonly {
    readonly origin: string;
    readonly vkey: string;
    readonly url: string;
    readonly ended: boolean;
  }[];
}

test('a site goes on under a new key, and what its old log holds is served and verifies', async () => {
  await using provider = await startProvider();
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const rotate = async (): Promise<Ran> =>
    runCli(['ledger', 'rotate', '--data', site.data, '--json'], {
      cwd: site.root,
      env: { HOME: site.home },
    });
  const ridOf = async (on: Site): Promise<string> =>
    (await chat(on, chatBody('hello'))).headers.get('sekisho-receipt') ?? assert.fail();
  const before = await ridOf(site);
  const busy = await rotate();
  assert.equal(busy.code, 1);
  assert.match(busy.err, /ledger\.in_use|another process/);
  await site.stop({ keep: true });

  const rotated = await rotate();
  assert.equal(rotated.code, 0, rotated.err);
  const { ended, began } = JSON.parse(rotated.out) as Record<'ended' | 'began', { origin: string }>;

  await using next = await startSite({ root: site.root });
  const { logs } = JSON.parse((await next.call('/ledger')).text) as Listed;
  assert.deepEqual(
    logs.map((log) => [log.origin, log.ended]),
    [
      [began.origin, false],
      [ended.origin, true],
    ],
  );
  const after = await ridOf(next);
  const policy = path.join(next.root, 'policy');
  writeFileSync(policy, logs.map(({ vkey }) => `log ${vkey}\n`).join(''));
  for (const [at, rid] of [after, before].entries()) {
    const file = path.join(next.root, `${rid}.json`);
    const reply = await next.call(`/v1/receipts/${rid}?wait=10`);
    writeFileSync(file, reply.text);
    assert.match(reply.text, new RegExp(`"origin":"${logs[at]?.origin}"`));
    const verify = async (...how: string[]): Promise<Ran> =>
      runCli(['verify', file, ...how], { cwd: next.root, env: {} });
    assert.equal((await verify('--policy', policy)).code, 0);
    assert.equal((await verify('--key', logs[at]?.vkey ?? '')).code, 0);
    assert.equal((await verify('--key', logs[1 - at]?.vkey ?? '')).code, 1);
  }
  const [first, second] = await allLeaves(next);
  assert.equal(first?.['kind'], 'rotation');
  assert.equal(second?.['kind'], 'bundle');
  for (const { url, vkey } of logs) {
    const checked = await runCli(['ledger', 'check', `${next.url}${url}`, '--key', vkey], {
      cwd: next.root,
      env: { SEKISHO_URL: next.url, SEKISHO_KEY: next.adminKey },
    });
    assert.equal(checked.code, 0, checked.out);
  }
});
