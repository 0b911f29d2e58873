import { Fault } from '../../core/fault.ts';
import type { Sampling } from '../llama/protocol.ts';
import { CATALOGUE } from './catalogue.ts';
import { pullModel } from './pull.ts';
import type { PullOptions } from './pull.ts';
import type { StoredModel } from './store.ts';

/** A model that the engine can load. */
export interface ProvidedModel {
  readonly path: string;
  /** `fp_` and the beginning of the digest. */
  readonly fingerprint: string;
  /** What the model's makers recommend, or null. */
  readonly sampling: Sampling | null;
}

const FINGERPRINT_HEX = 12;

/**
 * The file of a model by its name: the one imported last, else one of the catalogue, pulled when it is not there.
 * Its digest was checked just now.
 * @throws Fault of `pullModel`, and `gateway.model_tampered` for an imported model, which cannot be fetched again.
 */
export async function provideModel(name: string, options: PullOptions): Promise<ProvidedModel> {
  const known = (options.catalogue ?? CATALOGUE).find((model) => model.name === name);
  const stored = known === undefined ? await imported(name, options) : await pullModel(name, options);
  return {
    path: stored.path,
    fingerprint: `fp_${stored.sha256.slice(0, FINGERPRINT_HEX)}`,
    sampling: known?.sampling ?? null,
  };
}

async function imported(name: string, { store }: PullOptions): Promise<StoredModel> {
  const named = (await store.list()).filter((model) => model.name === name);
  const [newest] = named.sort((a, b) => b.stored - a.stored);
  const model = newest === undefined ? null : await store.verified(newest.sha256);
  if (model !== null) return model;
  const message = 'no model of this name was imported, and none can be pulled';
  throw new Fault('missing', 'gateway.unknown_model', message);
}
