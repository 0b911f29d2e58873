import path from 'node:path';
import type { Config } from '../core/config.ts';
import type { Env } from '../core/env.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { ControlRoad } from '../crossing/control.ts';
import { closeUnfinished } from '../crossing/recover.ts';
import { createEgress } from '../egress/egress.ts';
import type { Egress } from '../egress/types.ts';
import { isClientSocket } from '../egress/site-client.ts';
import { installTripwire } from '../egress/tripwire.ts';
import { openApprovals, type Approvals } from '../identity/approvals.ts';
import { openIdentity, type Identity } from '../identity/identity.ts';
import { openLedger } from '../ledger/open.ts';
import type { LedgerOptions } from '../ledger/options.ts';
import type { Ledger } from '../ledger/types.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import type { Bundle, PolicyEngine } from '../policy/types.ts';
import { openDatabase, type Database } from '../storage/database.ts';
import { anchorOutside, holdDataDirectory } from './data-place.ts';
import { DiskSpace } from './disk-space.ts';
import { startingBundle } from './governance.ts';
import { DecisionBook } from './decisions/book.ts';
import { Eraser, type EraseStep } from './erasure/erasure.ts';
import { LocalModels } from './local-models.ts';
import { machineDigest } from './machine.ts';
import { modelSource } from './model-source.ts';
import { Governor, type ApplyStep } from './governor.ts';
import { openLeafOutbox, settleBundle, type LeafOutbox } from './recording.ts';
import { BundleStore } from './store.ts';

/** Everything that a site holds open, before it listens. */
export interface Site extends AsyncDisposable {
  readonly config: Config;
  readonly dataDir: string;
  readonly world: World;
  readonly log: Log;
  readonly database: Database;
  readonly identity: Identity;
  readonly approvals: Approvals;
  /** What decisions were made from, for those who ask later. */
  readonly decisions: DecisionBook;
  readonly eraser: Eraser;
  readonly ledger: Ledger;
  readonly space: DiskSpace;
  /** The engine of the running bundle; asked anew whenever it is used, since an apply replaces it. */
  readonly policy: PolicyEngine;
  readonly governor: Governor;
  readonly egress: Egress;
  /** For what the site says on its own account. */
  readonly control: ControlRoad;
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
  /** For tests that end the process in the middle of an apply; the program never sets it. */
  readonly applyStep?: (step: ApplyStep) => Promise<void>;
  /** As `applyStep`, of an erasure. */
  readonly eraseStep?: (step: EraseStep) => Promise<void>;
}

/**
 * Opens a site on its data directory.
 * @throws Fault `server.data_unusable`, `ledger.in_use`, `ledger.rolled_back` and the faults of each room's start.
 */
export async function openSite(options: SiteOptions): Promise<Site> {
  await using opened = new AsyncDisposableStack();
  const { config, dataDir, world, log } = options;
  opened.use(await holdDataDirectory(dataDir));
  const ledgerPlace = ledgerOptions(options);
  const start = await startingBundle({ dataDir, drafts: config.governance, secrets: config.secrets, world });
  const running = start.bundle;
  const database = opened.use(await openDatabase({ url: config.storage.url.reveal(), dir: dataDir }));
  await start.adopt();
  const ledger = opened.use(await openLedger({ ...ledgerPlace, site: running.site.name, database }));
  const space = opened.use(await DiskSpace.watch({ directory: ledgerPlace.dir, clock: world.clock, log }));
  const identity = await openIdentity({ database, world, adminKey: options.env.adminKey, dataDir, log });
  const decisions = opened.use(await DecisionBook.open({ database, world, log }));
  const outbox = await openLeafOutbox(database, ledger);
  const approvals = await openApprovals({ database, outbox, identity, world, log });
  const governor = opened.use(await openGovernor(options, { database, outbox, running, ledger }));
  const recovered = await closeUnfinished(ledger);
  const eraseStep = options.eraseStep === undefined ? {} : { at: options.eraseStep };
  const eraser = await Eraser.open({ database, outbox, ledger, decisions, world, log, ...eraseStep });
  const egress = opened.use(
    createEgress({
      resolvers: config.egress.resolvers.length === 0 ? null : config.egress.resolvers,
      ca: config.egress.ca === null ? null : Buffer.from(config.egress.ca),
      posture: () => governor.engine.bundle.site.posture,
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
  const control = new ControlRoad({ ledger, egress, gate: governor.gate, world });
  governor.onRetire((bundle, graceMs) => egress.retire(bundle, graceMs ?? undefined));
  const models = opened.use(
    new LocalModels({
      source: modelSource({ ...options, egress, ledger, posture: () => governor.engine.bundle.site.posture }),
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
    approvals,
    decisions,
    eraser,
    ledger,
    space,
    get policy() {
      return governor.engine;
    },
    governor,
    egress,
    control,
    models,
    recovered,
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

async function openGovernor(
  options: SiteOptions,
  parts: {
    readonly database: Database;
    readonly outbox: LeafOutbox;
    readonly running: Bundle;
    readonly ledger: Ledger;
  },
): Promise<Governor> {
  const { dataDir, world, log, applyStep } = options;
  const { database, outbox, running, ledger } = parts;
  const folder = path.join(dataDir, 'governance');
  const store = await BundleStore.open(database, outbox);
  const bundle = await settleBundle({ store, outbox, running, folder, world, ledger });
  const engine = createPolicyEngine(bundle);
  return new Governor({
    engine,
    store,
    outbox,
    folder,
    world,
    log,
    ...(applyStep === undefined ? {} : { at: applyStep }),
  });
}

/** What the site's log is opened with, but for its name and database. */
export function ledgerOptions(
  options: Pick<SiteOptions, 'config' | 'dataDir' | 'anchorDir' | 'world' | 'log' | 'disk'>,
): Omit<LedgerOptions, 'site' | 'database'> {
  const { config, dataDir, world, log, disk } = options;
  return {
    dir: path.join(dataDir, 'ledger'),
    keysDir: config.ledger.keys ?? path.join(dataDir, 'keys'),
    anchorDir: anchorOutside(config, options),
    anchorOptional: config.ledger.anchor === null,
    machine: machineDigest(),
    world,
    log,
    ...(disk === undefined ? {} : { io: disk }),
  };
}
