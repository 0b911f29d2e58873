import { constants, existsSync } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../core/config.ts';
import { Fault } from '../core/fault.ts';
import type { Env } from '../core/env.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { closeUnfinished } from '../crossing/recover.ts';
import { createEgress } from '../egress/egress.ts';
import type { Egress } from '../egress/types.ts';
import { isClientSocket } from '../egress/site-client.ts';
import { installTripwire } from '../egress/tripwire.ts';
import { openIdentity, type Identity } from '../identity/identity.ts';
import { openLedger } from '../ledger/open.ts';
import type { LedgerOptions } from '../ledger/options.ts';
import type { Ledger } from '../ledger/types.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import type { PolicyEngine } from '../policy/types.ts';
import { openDatabase, type Database } from '../storage/database.ts';
import { runningBundle } from './governance.ts';
import { LocalModels } from './local-models.ts';
import { modelSource } from './model-source.ts';
import { openLeafOutbox, recordBundle } from './recording.ts';

/** Everything that a site holds open, before it listens. */
export interface Site extends AsyncDisposable {
  readonly config: Config;
  readonly dataDir: string;
  readonly world: World;
  readonly log: Log;
  readonly database: Database;
  readonly identity: Identity;
  readonly ledger: Ledger;
  readonly policy: PolicyEngine;
  readonly egress: Egress;
  readonly models: LocalModels;
  /** Decisions of an earlier process whose outcome is unknown, closed at this start. */
  readonly recovered: number;
}

export interface SiteOptions {
  readonly config: Config;
  readonly dataDir: string;
  readonly anchorDir: string | null;
  readonly modelsDir: string;
  readonly env: Env;
  readonly world: World;
  readonly log: Log;
  /** For tests that plant a failing disk; the program never sets it. */
  readonly disk?: NonNullable<LedgerOptions['io']>;
}

/**
 * Opens a site on its data directory.
 * @throws Fault `server.data_unusable`, `ledger.in_use`, `ledger.rolled_back` and the faults of each room's start.
 */
export async function openSite(options: SiteOptions): Promise<Site> {
  await using opened = new AsyncDisposableStack();
  const { config, dataDir, world, log } = options;
  await usableDirectory(dataDir);
  const bundle = await runningBundle({ dataDir, drafts: config.governance, world });
  const policy = createPolicyEngine(bundle);
  const database = opened.use(await openDatabase({ url: config.storage.url.reveal(), dir: dataDir }));
  const ledger = opened.use(await openLedger(ledgerOptions(options, bundle.site.name, database)));
  const identity = await openIdentity({ database, world, adminKey: options.env.adminKey, dataDir, log });
  const outbox = await openLeafOutbox(database, ledger);
  await recordBundle({ database, ledger, outbox, policy, world });
  const recovered = await closeUnfinished(ledger);
  const egress = opened.use(
    createEgress({
      resolvers: config.egress.resolvers.length === 0 ? null : config.egress.resolvers,
      ca: config.egress.ca === null ? null : Buffer.from(config.egress.ca),
      posture: () => bundle.site.posture,
      world,
      log,
    }),
  );
  opened.use(
    installTripwire({
      owns: (socket) => egress.owns(socket) || isClientSocket(socket),
      onTrip: ({ kind }) => log.error('egress.tripwire', { kind }),
    }),
  );
  const models = opened.use(
    new LocalModels({
      source: modelSource({ ...options, egress, ledger, posture: bundle.site.posture }),
      world,
      log,
    }),
  );
  const held = opened.move();
  return {
    config,
    dataDir,
    world,
    log,
    database,
    identity,
    ledger,
    policy,
    egress,
    models,
    recovered,
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

function ledgerOptions(options: SiteOptions, site: string, database: Database): LedgerOptions {
  const { dataDir, anchorDir, world, log, disk } = options;
  return {
    dir: path.join(dataDir, 'ledger'),
    keysDir: path.join(dataDir, 'keys'),
    anchorDir,
    site,
    database,
    world,
    log,
    ...(disk === undefined ? {} : { io: disk }),
  };
}

async function usableDirectory(dataDir: string): Promise<void> {
  try {
    await makeDirectory(dataDir);
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const message = `cannot use the data directory ${dataDir}; give another with --data, or rights to this one`;
    throw new Fault('unavailable', 'server.data_unusable', message, { cause });
  }
}

// Parents first, each by itself: Node's recursive mkdir never ends where a parent exists and takes no entries.
async function makeDirectory(directory: string): Promise<void> {
  if (existsSync(directory)) return;
  await makeDirectory(path.dirname(directory));
  await mkdir(directory, { mode: 0o700 }).catch((cause: unknown) => {
    if (!existsSync(directory)) throw cause;
  });
}
