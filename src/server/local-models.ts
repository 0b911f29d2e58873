import { Fault, toFault } from '../core/fault.ts';
import { MINUTE } from '../core/duration.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { Engine, type EngineState } from '../gateway/llama/engine.ts';
import { llamaTransport, type LlamaTransport } from '../gateway/llama/transport.ts';
import type { ProvidedModel } from '../gateway/model/provide.ts';
import type { PolicyEngine } from '../policy/types.ts';

/** Finds a model's file, fetching it when it is not there. */
export type ModelSource = (
  name: string,
  options: { signal: AbortSignal; onProgress: (done: number, total: number) => void },
) => Promise<ProvidedModel>;

export interface LocalModelOptions {
  readonly source: ModelSource;
  readonly world: World;
  readonly log: Log;
}

interface LocalModel {
  readonly engine: Engine;
  fingerprint: string;
}

const FIRST_RETRY = MINUTE / 4;
const LONGEST_RETRY = 15 * MINUTE;
const PERCENT = 100;
const MEBIBYTE = 1024 * 1024;

/** The models that this machine runs: each in its engine, fetched in the background when its file is missing. */
export class LocalModels implements AsyncDisposable {
  readonly #options: LocalModelOptions;
  readonly #models = new Map<string, LocalModel>();
  readonly #closing = new AbortController();

  constructor(options: LocalModelOptions) {
    this.#options = options;
  }

  /** The transport to the model of this name; the first asking starts its engine or its download. */
  transport(name: string): LlamaTransport {
    const model = this.#model(name);
    return {
      dispatch: (request, handler) =>
        llamaTransport(model.engine, {
          world: this.#options.world,
          fingerprint: model.fingerprint,
        }).dispatch(request, handler),
    };
  }

  /** The local model behind a callers' name, or null. */
  of(caller: string, policy: PolicyEngine): string | null {
    const route = policy.model(caller);
    return route?.from.find(({ endpoint }) => endpoint.kind === 'llama')?.endpoint.upstream ?? null;
  }

  state(name: string): EngineState {
    return this.#models.get(name)?.engine.state() ?? { kind: 'absent' };
  }

  describe(): readonly { readonly name: string; readonly ready: boolean; readonly detail: string }[] {
    return [...this.#models].map(([name, { engine }]) => ({
      name,
      ready: engine.state().kind === 'ready',
      detail: progressOf(name, engine.state()),
    }));
  }

  /** One line for a person. */
  progress(name: string): string {
    return progressOf(name, this.state(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#models.values()].map(async ({ engine }) => engine.close()));
  }

  #model(name: string): LocalModel {
    const known = this.#models.get(name);
    if (known !== undefined) return known;
    const { world, log } = this.#options;
    const model: LocalModel = { engine: new Engine({ modelPath: null, world, log }), fingerprint: name };
    this.#models.set(name, model);
    void this.#provide(name, model);
    return model;
  }

  async #provide(name: string, model: LocalModel): Promise<void> {
    const { source, world, log } = this.#options;
    const { signal } = this.#closing;
    const onProgress = (done: number, total: number): void => model.engine.downloading(done, total);
    for (let wait = FIRST_RETRY; !signal.aborted; wait = Math.min(wait * 2, LONGEST_RETRY)) {
      try {
        const file = await source(name, { signal, onProgress });
        model.fingerprint = file.fingerprint;
        model.engine.load(file.path, file.sampling);
        return;
      } catch (thrown) {
        const fault = asFault(thrown);
        if (signal.aborted) return;
        model.engine.unavailable(reasonOf(fault));
        log.error('model.not_available', { model: name, code: fault.code, message: fault.message });
        if (fault.kind !== 'unavailable') return;
        await world.clock.sleep(wait, signal).catch(() => {});
      }
    }
  }
}

// A disk that is full or not readable now may be so no longer at the next try.
function asFault(thrown: unknown): Fault {
  if (!(thrown instanceof Error && 'syscall' in thrown)) return toFault(thrown);
  return new Fault('unavailable', 'server.model_file', thrown.message, { cause: thrown });
}

// Anybody may read this: the message, which may name paths of this machine, is for the log alone.
function reasonOf(fault: Fault): string {
  if (fault.kind === 'unavailable') {
    return `its file cannot be fetched or read at the moment, and is tried again (${fault.code})`;
  }
  return `its file cannot be used (${fault.code}); the log says why`;
}

function progressOf(name: string, state: EngineState): string {
  switch (state.kind) {
    case 'absent':
      return `${name}: looking for its file`;
    case 'downloading': {
      const share = state.total === 0 ? 0 : Math.floor((state.done / state.total) * PERCENT);
      return `${name}: downloading ${share}% of ${Math.ceil(state.total / MEBIBYTE)} MiB`;
    }
    case 'loading':
      return `${name}: loading ${Math.floor(state.progress * PERCENT)}%`;
    case 'ready':
      return `${name}: ready`;
    case 'failed':
      return `${name}: ${state.reason}`;
  }
}
