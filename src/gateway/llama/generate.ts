import { LlamaChat, LlamaJsonSchemaGrammar } from 'node-llama-cpp';
import type {
  ChatHistoryItem,
  ChatModelFunctions,
  ChatWrapper,
  GbnfJsonSchema,
  Llama,
  LlamaContext,
  LlamaContextSequence,
  LlamaGrammar,
} from 'node-llama-cpp';
import { chatHistory } from './history.ts';
import type { Json } from '../../core/canonical-json.ts';
import type { ChatEvent, ChatJob, ChatResult, Sampling, ToolFunction } from './protocol.ts';
import type { JsonObject } from './reading.ts';

export interface Loaded {
  readonly llama: Llama;
  readonly context: LlamaContext;
  readonly wrapper: ChatWrapper;
  readonly sampling: Sampling;
}

/** The prompt does not leave room for one token of answer. */
export class ContextExceeded extends Error {
  /** Null: too many to count. */
  readonly promptTokens: number | null;

  constructor(promptTokens: number | null) {
    super('the prompt is longer than the context');
    this.promptTokens = promptTokens;
  }
}

/** The schema is one that the engine cannot make a grammar of. */
export class SchemaUnusable extends Error {}

// Tokens that the chat format may need around a call, beside what is asked for; without them the engine would begin to
// forget the conversation's start rather than end the answer.
const RESERVED_TOKENS = 16;
/** Characters; hardly a vocabulary has longer tokens, none has them everywhere. */
const LONGEST_TOKEN = 64;
// Tokens; fewer at once cost several times as much each.
const SHORTEST_SLICE = 16;
const LONGEST_SLICE = 512;
const SLICE_MS = 60;

/**
 * Answers one chat job on a sequence of its own, which nothing of another request has touched and which is wiped after.
 * @throws the signal's reason when aborted, within a slice of the prompt or a token of the answer.
 */
export async function generateChat(
  loaded: Loaded,
  job: ChatJob & { readonly seed: number },
  emit: (event: ChatEvent) => void,
  signal: AbortSignal,
): Promise<ChatResult> {
  const plan = planOf(job);
  const longest = loaded.context.contextSize * LONGEST_TOKEN;
  // Tokens of text cost time to count, and the text is the caller's: what is surely too long is not counted.
  if (JSON.stringify(plan.history).length > longest) throw new ContextExceeded(null);
  const rendered = loaded.wrapper.generateContextState({
    chatHistory: plan.history,
    ...(plan.functions === undefined
      ? {}
      : { availableFunctions: plan.functions, documentFunctionParams: true }),
  });
  const prompt = rendered.contextText.tokenize(loaded.context.model.tokenizer);
  const room = loaded.context.contextSize - prompt.length - RESERVED_TOKENS;
  if (room < 1) throw new ContextExceeded(prompt.length);
  const grammar = await grammarOf(loaded.llama, plan);
  const sequence = loaded.context.getSequence();
  try {
    emit({ kind: 'start', promptTokens: prompt.length });
    await readPrompt(sequence, prompt.slice(0, -1), signal);
    const before = sequence.tokenMeter.usedOutputTokens;
    const limit = Math.min(job.maxTokens ?? loaded.sampling.maxTokens ?? room, room);
    const spent = (): number => sequence.tokenMeter.usedOutputTokens - before;
    const finish = await respond({ loaded, job, plan, grammar, sequence, limit, spent, emit, signal });
    return { finish, promptTokens: prompt.length, completionTokens: Math.min(spent(), limit) };
  } finally {
    await sequence.dispose();
  }
}

interface Plan {
  readonly history: ChatHistoryItem[];
  readonly functions: ChatModelFunctions | undefined;
  /** `json` or a schema. */
  readonly grammar: JsonObject | 'json' | null;
  readonly parallel: boolean;
  /** The function whose arguments the whole answer is. */
  readonly forced: string | null;
  /** The answer is `{"name", "arguments"}`. */
  readonly choosing: boolean;
}

const FREE: Omit<Plan, 'history'> = {
  functions: undefined,
  grammar: null,
  parallel: false,
  forced: null,
  choosing: false,
};

function planOf(job: ChatJob): Plan {
  const history = chatHistory(job.turns);
  const { form } = job;
  if (form.kind === 'text') return { ...FREE, history };
  if (form.kind === 'json') return { ...FREE, history, grammar: 'json' };
  if (form.kind === 'schema') return { ...FREE, history, grammar: form.schema };
  if (form.kind === 'tools') {
    return { ...FREE, history, functions: functionsOf(form.tools), parallel: form.parallel };
  }
  if (form.kind === 'forced') {
    const instruction = `Answer with the JSON arguments of a call of this function:\n${describe(form.tool)}`;
    const grammar = argumentsSchema(form.tool);
    return { ...FREE, history: told(history, instruction), grammar, forced: form.tool.name };
  }
  const described = form.tools.map(describe).join('\n');
  const instruction = `Answer with JSON {"name", "arguments"} that calls one of these functions:\n${described}`;
  const grammar = { oneOf: form.tools.map(callSchema) };
  return { ...FREE, history: told(history, instruction), grammar, choosing: true };
}

function functionsOf(tools: readonly ToolFunction[]): ChatModelFunctions {
  return Object.fromEntries(
    tools.map((tool) => [
      tool.name,
      {
        ...(tool.description === null ? {} : { description: tool.description }),
        params: grammarInput(argumentsSchema(tool)),
      },
    ]),
  );
}

function argumentsSchema(tool: ToolFunction): JsonObject {
  return tool.parameters ?? { type: 'object', properties: {} };
}

function callSchema(tool: ToolFunction): JsonObject {
  return {
    type: 'object',
    properties: { name: { const: tool.name }, arguments: argumentsSchema(tool) },
  };
}

function describe(tool: ToolFunction): string {
  return JSON.stringify({
    name: tool.name,
    description: tool.description,
    parameters: argumentsSchema(tool),
  });
}

function told(history: readonly ChatHistoryItem[], instruction: string): ChatHistoryItem[] {
  return [{ type: 'system', text: instruction }, ...history];
}

function grammarInput(schema: JsonObject): GbnfJsonSchema {
  // `grammarSchema` let through only the keywords and values that GbnfJsonSchema is made of.
  return schema as GbnfJsonSchema;
}

async function grammarOf(llama: Llama, plan: Plan): Promise<LlamaGrammar | null> {
  if (plan.grammar === null) return null;
  if (plan.grammar === 'json') return llama.getGrammarFor('json');
  try {
    return new LlamaJsonSchemaGrammar<GbnfJsonSchema>(llama, grammarInput(plan.grammar));
  } catch (error) {
    throw new SchemaUnusable('no grammar for this schema', { cause: error });
  }
}

// The engine looks at an abort between tokens of the answer only, so the prompt goes in by slices that take some 60 ms.
async function readPrompt(
  sequence: LlamaContextSequence,
  tokens: Parameters<LlamaContextSequence['evaluateWithoutGeneratingNewTokens']>[0],
  signal: AbortSignal,
): Promise<void> {
  let slice = SHORTEST_SLICE;
  for (let at = 0; at < tokens.length;) {
    signal.throwIfAborted();
    const started = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(at, at + slice));
    at += slice;
    const took = performance.now() - started;
    if (took < SLICE_MS / 3) slice = Math.min(LONGEST_SLICE, slice * 2);
    else if (took > SLICE_MS) slice = Math.max(SHORTEST_SLICE, slice >> 1);
  }
  signal.throwIfAborted();
}

interface Run {
  readonly loaded: Loaded;
  readonly job: ChatJob & { readonly seed: number };
  readonly plan: Plan;
  readonly grammar: LlamaGrammar | null;
  readonly sequence: LlamaContextSequence;
  readonly limit: number;
  readonly spent: () => number;
  readonly emit: (event: ChatEvent) => void;
  readonly signal: AbortSignal;
}

async function respond(run: Run): Promise<ChatResult['finish']> {
  const full = new AbortController();
  // The engine's own limit counts text only; a call's arguments are counted here.
  const meter = (): void => {
    if (run.spent() >= run.limit) full.abort();
  };
  const chat = new LlamaChat({ contextSequence: run.sequence, chatWrapper: run.loaded.wrapper });
  const output = outputOf(run.plan, run.emit);
  const shape =
    run.plan.functions === undefined
      ? run.grammar === null
        ? {}
        : { grammar: run.grammar }
      : {
          functions: run.plan.functions,
          documentFunctionParams: true,
          ...(run.plan.parallel ? {} : { maxParallelFunctionCalls: 1 }),
          onFunctionCallParamsChunk: (chunk: {
            callIndex: number;
            functionName: string;
            paramsChunk: string;
          }) => {
            meter();
            output.argument(chunk.callIndex, chunk.functionName, chunk.paramsChunk);
          },
        };
  const response = await chat.generateResponse(run.plan.history, {
    ...samplingOf(run.job, run.loaded.sampling),
    ...shape,
    maxTokens: run.limit,
    customStopTriggers: run.job.stop,
    signal: AbortSignal.any([run.signal, full.signal]),
    stopOnAbortSignal: true,
    onTextChunk: (text) => {
      output.text(text);
    },
  });
  run.signal.throwIfAborted();
  for (const [index, call] of (response.functionCalls ?? []).entries()) {
    output.called(index, call.functionName, call.params);
  }
  output.end();
  const { stopReason } = response.metadata;
  if (stopReason === 'maxTokens' || stopReason === 'abort') return 'length';
  return output.calls() > 0 ? 'tool_calls' : 'stop';
}

function samplingOf(job: ChatJob & { readonly seed: number }, sampling: Sampling) {
  const asked = job.presencePenalty !== 0 || job.frequencyPenalty !== 0;
  const penalty = asked ? 1 : sampling.repeatPenalty;
  return {
    temperature: job.temperature ?? sampling.temperature,
    topP: job.topP ?? sampling.topP,
    topK: 0,
    seed: job.seed,
    // The engine's default penalises repetition unasked.
    repeatPenalty:
      asked || penalty !== 1
        ? ({
            penalty,
            lastTokens: asked ? 4_096 : 64,
            presencePenalty: job.presencePenalty,
            frequencyPenalty: job.frequencyPenalty,
          } as const)
        : (false as const),
  };
}

interface Output {
  text(text: string): void;
  argument(index: number, name: string, text: string): void;
  called(index: number, name: string, params: Json | undefined): void;
  end(): void;
  calls(): number;
}

function outputOf(plan: Plan, emit: (event: ChatEvent) => void): Output {
  const begun = new Set<number>();
  const written = new Set<number>();
  let held = '';
  const begin = (index: number, name: string): void => {
    if (begun.has(index)) return;
    begun.add(index);
    emit({ kind: 'call', index, name });
  };
  const argument = (index: number, name: string, text: string): void => {
    begin(index, name);
    if (text === '') return;
    written.add(index);
    emit({ kind: 'argument', index, text });
  };
  return {
    text(text) {
      if (plan.choosing) held += text;
      else if (plan.forced !== null) argument(0, plan.forced, text);
      else if (text !== '') emit({ kind: 'text', text });
    },
    argument,
    called(index, name, params) {
      begin(index, name);
      if (!written.has(index)) argument(index, name, JSON.stringify(params ?? {}));
    },
    end() {
      if (plan.forced !== null) begin(0, plan.forced);
      const choice = plan.choosing ? chosen(held) : null;
      if (choice !== null) argument(0, choice.name, choice.arguments);
    },
    calls: () => begun.size,
  };
}

// A choice cut short by the token limit is no call: the answer then ends with `length` and nothing in it.
function chosen(text: string): { name: string; arguments: string } | null {
  try {
    const call: unknown = JSON.parse(text);
    if (typeof call !== 'object' || call === null || !('name' in call) || !('arguments' in call)) return null;
    return typeof call.name === 'string'
      ? { name: call.name, arguments: JSON.stringify(call.arguments) }
      : null;
  } catch {
    return null;
  }
}
