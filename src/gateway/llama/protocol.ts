import type { Json } from '../../core/canonical-json.ts';

/** A function that the model may call; `parameters` is a JSON Schema, null for a function without arguments. */
export interface ToolFunction {
  readonly name: string;
  readonly description: string | null;
  readonly parameters: { readonly [keyword: string]: Json } | null;
}

/** A call that the model made and what it got. */
export interface AnsweredCall {
  readonly name: string;
  /** The arguments as parsed from the JSON text of the message. */
  readonly arguments: Json;
  readonly result: string;
}

/** The turns of a conversation; the last is the assistant's, which the model is to write or to go on with. */
export type ChatTurn =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly parts: readonly (string | readonly AnsweredCall[])[] };

/** What shape the answer must have. `forced` and `required` answer with a call of a function and nothing else. */
export type AnswerForm =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | { readonly kind: 'schema'; readonly schema: { readonly [keyword: string]: Json } }
  | { readonly kind: 'tools'; readonly tools: readonly ToolFunction[]; readonly parallel: boolean }
  | { readonly kind: 'forced'; readonly tool: ToolFunction }
  | { readonly kind: 'required'; readonly tools: readonly ToolFunction[] };

/** One chat request as the engine understands it; everything in it was checked. */
export interface ChatJob {
  readonly turns: readonly ChatTurn[];
  readonly form: AnswerForm;
  /** Null: as many as the context holds. */
  readonly maxTokens: number | null;
  /** Null: the model's own default. */
  readonly temperature: number | null;
  readonly topP: number | null;
  /** Unsigned 32 bits; null draws one. */
  readonly seed: number | null;
  readonly stop: readonly string[];
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
}

/** What a running job says, in order. `argument` pieces of one index follow its `call`. */
export type ChatEvent =
  | { readonly kind: 'start'; readonly promptTokens: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call'; readonly index: number; readonly name: string }
  | { readonly kind: 'argument'; readonly index: number; readonly text: string };

export interface ChatResult {
  readonly finish: 'stop' | 'length' | 'tool_calls';
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface EmbedResult {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
}

/** What a request gets that names nothing else. */
export interface Sampling {
  readonly temperature: number;
  /** Null: as many as the context holds. */
  readonly maxTokens: number | null;
  readonly topP: number;
  /** Divides the chance of what was just said; 1 is none. A small model circles without it. */
  readonly repeatPenalty: number;
}

/** What the child is told when it starts. */
export interface ChildSettings {
  readonly modelPath: string;
  readonly threads: number;
  readonly parallel: number;
  /** Tokens of prompt and answer together, for each of the parallel requests. */
  readonly contextSize: number;
  readonly sampling: Sampling;
}

export type ToChild =
  | { readonly kind: 'load'; readonly settings: ChildSettings }
  | { readonly kind: 'chat'; readonly id: number; readonly job: ChatJob; readonly seed: number }
  | { readonly kind: 'embed'; readonly id: number; readonly inputs: readonly string[] }
  | { readonly kind: 'abort'; readonly id: number };

/** Faults that a job can end with inside the child; the parent gives them their kind and words. */
export type ChildFault =
  | {
      readonly code: 'context_length_exceeded';
      readonly promptTokens: number | null;
      readonly contextSize: number;
    }
  | { readonly code: 'schema_unusable' }
  | { readonly code: 'generation_failed' };

export type FromChild =
  | { readonly kind: 'loading'; readonly progress: number }
  | { readonly kind: 'ready'; readonly contextSize: number }
  | { readonly kind: 'unusable'; readonly reason: 'no-engine' | 'bad-model' | 'no-memory' }
  | { readonly kind: 'event'; readonly id: number; readonly event: ChatEvent }
  | { readonly kind: 'chatted'; readonly id: number; readonly result: ChatResult }
  | { readonly kind: 'embedded'; readonly id: number; readonly result: EmbedResult }
  | { readonly kind: 'aborted'; readonly id: number }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: ChildFault };
