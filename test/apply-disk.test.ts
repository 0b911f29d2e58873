import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import path from 'node:path';
import { rmSync } from 'node:fs';
import { readEnv } from '../src/core/env.ts';
import { silentLog } from '../src/core/log.ts';
import { systemWorld } from '../src/core/world.ts';
import { realDisk, syncingFile, type Disk, type DiskFile } from '../src/ledger/disk.ts';
import { openSite } from '../src/server/site.ts';
import { resolveConfig } from '../src/server/start.ts';
import { after, firstSigner, signedBy } from './support/bundles.ts';
import { startProvider } from './support/provider.ts';
import { oneModel } from './support/road.ts';
import { startSite } from './support/site.ts';

const HEALS_AFTER_MS = 700;

test('while the log cannot record the new bundle nobody decides, and it runs as soon as the log can', async () => {
  await using provider = await startProvider();
  const first = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const { root, data } = first;
  await first.stop({ keep: true });
  const env = readEnv({ HOME: root });
  const disk = { refuses: false };
  await using site = await openSite({
    ...resolveConfig(env, { config: path.join(root, 'sekisho.yaml'), data }),
    anchorDir: null,
    modelsDir: root,
    env,
    world: systemWorld(),
    log: silentLog,
    disk: refusing(disk),
  });
  const { gate } = site.governor;
  const before = site.policy;
  const size = site.ledger.size();
  disk.refuses = true;
  const next = after(before.bundle, { purposes: [], policies: { own: NOTHING } });
  const applying = site.governor.apply(signedBy(next, firstSigner({ data })), { immediate: false });
  await delay(HEALS_AFTER_MS / 2);
  assert.equal(gate.decides(before.hash), false);
  await assert.rejects(
    gate.pass(before.hash, async () => 1),
    { code: 'crossing.bundle_changed' },
  );
  assert.equal(site.ledger.size(), size);
  disk.refuses = false;
  const applied = await applying;
  assert.equal(applied.leaf, size);
  assert.equal(site.policy.hash, applied.hash);
  assert.ok(gate.decides(applied.hash));
  await site.governor.settled();
  rmSync(root, { recursive: true, force: true });
});

const NOTHING = 'permit (principal, action, resource) when { false };';

/** A disk whose syncs fail while told to. */
function refusing(state: { readonly refuses: boolean }): Disk {
  return {
    ...realDisk,
    async open(file, how) {
      const opened = await realDisk.open(file, 'update');
      const planted: DiskFile = {
        ...opened,
        async datasync() {
          if (state.refuses) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
          await opened.datasync();
        },
      };
      return how === 'synced' ? syncingFile(planted) : planted;
    },
  };
}
