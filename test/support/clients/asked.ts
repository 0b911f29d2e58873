import assert from 'node:assert/strict';
import type { JSONSchema7 } from 'ai';
import type { ClientCase } from './client.ts';

/** What a chat case asks for, read out of its members for clients that have words of their own for them. */
export interface Wanted {
  readonly model: string;
  /** The text of the user's only message. */
  readonly prompt: string;
  readonly stream: boolean;
  readonly tools: readonly Tool[];
  readonly choice: Choice;
  readonly format: { readonly name: string; readonly schema: JSONSchema7 } | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  /** Members beyond those above, under their own names. */
  readonly more: Readonly<Record<string, unknown>>;
}

export interface Tool {
  readonly name: string;
  readonly parameters: JSONSchema7;
}

/** A name forces the call of that tool. */
export type Choice = 'auto' | 'required' | { readonly name: string };

/** Reads a case of the kinds `chat` and `loop`. */
export function readWanted(asked: ClientCase): Wanted {
  const { model, messages, tools, tool_choice, response_format, max_tokens, seed, stream, ...more } =
    asked.arguments;
  const format = Object(Object(response_format)['json_schema']);
  return {
    model: String(model),
    prompt: asked.fill > 0 ? 'x'.repeat(asked.fill) : promptOf(messages),
    stream: stream === true,
    tools: Array.isArray(tools) ? tools.map((tool) => Object(Object(tool)['function'])) : [],
    choice: choiceOf(tool_choice),
    format: response_format === undefined ? null : { name: String(format.name), schema: format.schema },
    maxTokens: typeof max_tokens === 'number' ? max_tokens : null,
    seed: typeof seed === 'number' ? seed : null,
    more,
  };
}

function promptOf(messages: unknown): string {
  assert.ok(Array.isArray(messages) && messages.length === 1);
  const { role, content } = Object(messages[0]);
  assert.equal(role, 'user');
  assert.equal(typeof content, 'string');
  return String(content);
}

function choiceOf(choice: unknown): Choice {
  if (choice === undefined || choice === 'auto') return 'auto';
  if (choice === 'required') return 'required';
  return { name: String(Object(Object(choice)['function'])['name']) };
}
