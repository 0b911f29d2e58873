import { Fault } from '../../core/fault.ts';
import { isRecord, parseJsonObject } from '../json-body.ts';
import { modelName } from '../model-name.ts';

/** A chat request whose shape was checked; `body` holds every member as the caller sent it. */
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  /** `stream_options.include_usage` */
  readonly includeUsage: boolean;
  readonly body: Readonly<Record<string, unknown>>;
}

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

/**
 * Parses a chat-completions body. Only what decides its road and its framing is judged here; each adapter refuses by
 * name the parameters and the content that it cannot honour. `named` is the model that the path names; it outranks the body's.
 * @throws Fault `gateway.invalid_request` with `param`.
 */
export function parseChat(bytes: Buffer, named: string | null = null): ChatRequest {
  const parsed = parseJsonObject(bytes);
  const body = named === null ? parsed : { ...parsed, model: named };
  const { stream = false, stream_options: options = null } = body;
  const model = modelName(body['model']);
  checkMessages(body['messages']);
  if (stream !== null && typeof stream !== 'boolean') throw invalid('stream', 'expected true or false');
  return { model, stream: stream === true, includeUsage: includesUsage(options, stream === true), body };
}

function includesUsage(options: unknown, stream: boolean): boolean {
  if (options === null) return false;
  if (!isRecord(options)) throw invalid('stream_options', 'expected an object');
  if (!stream) throw invalid('stream_options', 'only allowed when stream is true');
  return options['include_usage'] === true;
}

function checkMessages(messages: unknown): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid('messages', 'expected an array of at least one message');
  }
  for (const [i, message] of messages.entries()) {
    const path = `messages[${i}]`;
    if (!isRecord(message)) throw invalid(path, 'expected an object');
    const { role, content } = message;
    if (typeof role !== 'string' || !ROLES.has(role)) {
      throw invalid(`${path}.role`, `expected one of ${[...ROLES].join(', ')}`);
    }
    checkContent(content, `${path}.content`, role === 'assistant');
  }
}

function checkContent(content: unknown, path: string, mayBeAbsent: boolean): void {
  if (typeof content === 'string') return;
  if ((content === null || content === undefined) && mayBeAbsent) return;
  if (!Array.isArray(content)) throw invalid(path, 'expected a string or an array of content parts');
  for (const [i, part] of content.entries()) checkPart(part, `${path}[${i}]`);
}

// What a part may hold is for each adapter to judge.
function checkPart(part: unknown, path: string): void {
  if (!isRecord(part) || typeof part['type'] !== 'string') {
    throw invalid(path, 'expected a content part with a type');
  }
}

function invalid(param: string, message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', `${param}: ${message}`, { details: { param } });
}
