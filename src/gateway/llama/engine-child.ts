import { getLlama, LlamaLogLevel, resolveChatWrapper } from 'node-llama-cpp';
import type { LlamaEmbeddingContext, LlamaModel } from 'node-llama-cpp';
import { ContextExceeded, generateChat, SchemaUnusable } from './generate.ts';
import type { Loaded } from './generate.ts';
import type { ChatEvent, ChildFault, ChildSettings, EmbedResult, FromChild, ToChild } from './protocol.ts';

// The engine's process. It knows its parent by the channel only, opens no socket (it is started without the permission)
// and writes nothing: what the native library would print may hold prompts.

const running = new Map<number, AbortController>();
let loaded: Loaded | null = null;
let embedding: Promise<LlamaEmbeddingContext> | null = null;

process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToChild) => {
  // The parent runs the same version of protocol.ts; nobody else holds the channel.
  switch (message.kind) {
    case 'load':
      void load(message.settings);
      break;
    case 'chat':
      void runJob(message.id, async (ready, signal) => {
        const emit = (event: ChatEvent): void => tell({ kind: 'event', id: message.id, event });
        const job = { ...message.job, seed: message.seed };
        const result = await generateChat(ready, job, emit, signal);
        return { kind: 'chatted', id: message.id, result };
      });
      break;
    case 'embed':
      void runJob(message.id, async (ready, signal) => {
        const result = await embed(ready, message.inputs, signal);
        return { kind: 'embedded', id: message.id, result };
      });
      break;
    case 'abort':
      running.get(message.id)?.abort(new Error('aborted'));
      break;
  }
});

function tell(message: FromChild): void {
  process.send?.(message);
}

async function load(settings: ChildSettings): Promise<void> {
  let reason: Extract<FromChild, { kind: 'unusable' }>['reason'] = 'no-engine';
  try {
    const llama = await getLlama({
      build: 'never',
      skipDownload: true,
      gpu: false,
      maxThreads: settings.threads,
      progressLogs: false,
      logLevel: LlamaLogLevel.disabled,
      logger: () => {},
    });
    reason = 'bad-model';
    const model = await llama.loadModel({
      modelPath: settings.modelPath,
      gpuLayers: 0,
      onLoadProgress: (progress) => tell({ kind: 'loading', progress }),
    });
    const wrapper = resolveChatWrapper(model);
    reason = 'no-memory';
    const context = await model.createContext({
      contextSize: Math.min(settings.contextSize, model.trainContextSize),
      sequences: settings.parallel,
      threads: settings.threads,
      failedCreationRemedy: false,
    });
    loaded = { llama, context, wrapper, sampling: settings.sampling };
    tell({ kind: 'ready', contextSize: context.contextSize });
  } catch {
    tell({ kind: 'unusable', reason });
  }
}

async function runJob(
  id: number,
  work: (ready: Loaded, signal: AbortSignal) => Promise<FromChild>,
): Promise<void> {
  const abort = new AbortController();
  running.set(id, abort);
  let answer: FromChild;
  try {
    if (loaded === null) throw new Error('a job came before the model');
    answer = await work(loaded, abort.signal);
  } catch (error) {
    answer = abort.signal.aborted ? { kind: 'aborted', id } : { kind: 'fault', id, fault: faultOf(error) };
  }
  running.delete(id);
  tell(answer);
}

// Only the kind of fault crosses to the parent: the native library's words may quote the prompt.
function faultOf(error: unknown): ChildFault {
  if (error instanceof ContextExceeded) {
    const contextSize = loaded?.context.contextSize ?? 0;
    return { code: 'context_length_exceeded', promptTokens: error.promptTokens, contextSize };
  }
  return { code: error instanceof SchemaUnusable ? 'schema_unusable' : 'generation_failed' };
}

async function embed(ready: Loaded, inputs: readonly string[], signal: AbortSignal): Promise<EmbedResult> {
  const { model } = ready.context;
  const context = await embeddingContext(model, ready.context.currentThreads);
  const vectors: (readonly number[])[] = [];
  let promptTokens = 0;
  for (const input of inputs) {
    signal.throwIfAborted();
    const tokens = model.tokenize(input);
    if (tokens.length >= ready.context.contextSize) throw new ContextExceeded(tokens.length);
    promptTokens += tokens.length;
    vectors.push((await context.getEmbeddingFor(tokens)).vector);
  }
  return { vectors, promptTokens };
}

function embeddingContext(model: LlamaModel, threads: number): Promise<LlamaEmbeddingContext> {
  embedding ??= model.createEmbeddingContext({ threads: Math.max(1, threads) });
  return embedding;
}
