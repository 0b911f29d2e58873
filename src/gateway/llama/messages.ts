import { Fault } from '../../core/fault.ts';
import { invalid, objectAt, textAt, unsupported } from './reading.ts';
import type { Json } from '../../core/canonical-json.ts';
import type { ChatTurn } from './protocol.ts';
import type { JsonObject } from './reading.ts';

const MAX_MESSAGES = 4_096;

/** The members each role may have; another one is refused by name. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  system: ['role', 'content'],
  developer: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'refusal', 'tool_calls', 'annotations', 'audio', 'function_call'],
  tool: ['role', 'content', 'tool_call_id'],
};
/** Members that answers carry and clients send back; null and empty say nothing. */
const EMPTY_ONLY = new Set(['annotations', 'audio', 'function_call']);

/**
 * Reads `messages`. A call and its result come to stand together in the assistant's turn.
 * @throws Fault `gateway.unsupported_parameter` for images, audio, files and other content than text,
 * `gateway.invalid_request` for what is malformed and for tool calls and results that do not pair.
 */
export function readMessages(value: Json): ChatTurn[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_MESSAGES) {
    throw invalid('messages', `a list of 1 to ${MAX_MESSAGES} messages`);
  }
  const turns: Turn[] = [];
  let open: OpenCalls = new Map();
  let role = '';
  for (const [i, item] of value.entries()) {
    const param = `messages.${i}`;
    const message = objectAt(item, param);
    role = readRole(message, param);
    if (role === 'tool') {
      answerCall(open, message, param);
      continue;
    }
    // The OpenAI description's rule: the results follow their calls before anybody else speaks.
    if (open.size > 0) throw unpaired(`${param} comes before the results of all tool calls`);
    if (role === 'assistant') open = addAssistant(turns, message, param);
    else
      turns.push({
        role: role === 'user' ? 'user' : 'system',
        text: contentText(message['content'], `${param}.content`),
      });
  }
  if (open.size > 0) throw unpaired('messages end before the results of all tool calls');
  // After a tool's result the model goes on with its turn; after its own closing words it begins another.
  if (role !== 'tool') turns.push({ role: 'assistant', parts: [] });
  return turns;
}

interface Call {
  name: string;
  arguments: Json;
  result: string;
}

type Turn =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly parts: (string | readonly Call[])[] };

/** Calls without a result so far, by their id. */
type OpenCalls = Map<string, Call>;

function readRole(message: JsonObject, param: string): string {
  const role = message['role'];
  if (typeof role !== 'string' || !Object.hasOwn(MEMBERS, role))
    throw invalid(`${param}.role`, 'a known role');
  for (const [name, member] of Object.entries(message)) {
    const known = MEMBERS[role]?.includes(name) === true;
    const filled = member !== null && !(Array.isArray(member) && member.length === 0);
    if (filled && (!known || EMPTY_ONLY.has(name))) throw unsupported(`${param}.${name.slice(0, 64)}`);
  }
  return role;
}

function addAssistant(turns: Turn[], message: JsonObject, param: string): OpenCalls {
  const calls = message['tool_calls'] ?? [];
  if (!Array.isArray(calls)) throw invalid(`${param}.tool_calls`, 'a list');
  const content = message['content'] ?? message['refusal'] ?? null;
  if (content === null && calls.length === 0) throw invalid(`${param}.content`, 'a text');
  const last = turns.at(-1);
  const parts = last?.role === 'assistant' ? last.parts : [];
  if (last?.role !== 'assistant') turns.push({ role: 'assistant', parts });
  if (content !== null) parts.push(contentText(content, `${param}.content`));
  const open: OpenCalls = new Map();
  for (const [i, item] of calls.entries()) addCall(open, item, `${param}.tool_calls.${i}`);
  if (open.size > 0) parts.push([...open.values()]);
  return open;
}

function addCall(open: OpenCalls, item: Json, param: string): void {
  const call = objectAt(item, param);
  if (call['type'] !== 'function') throw unsupported(`${param}.type`, 'other than function');
  const called = objectAt(call['function'], `${param}.function`);
  const id = textAt(call['id'], `${param}.id`);
  if (open.has(id)) throw unpaired(`${param}.id repeats another call's`);
  const text = textAt(called['arguments'], `${param}.function.arguments`);
  open.set(id, {
    name: textAt(called['name'], `${param}.function.name`),
    arguments: parsedArguments(text),
    result: '',
  });
}

function answerCall(open: OpenCalls, message: JsonObject, param: string): void {
  const id = textAt(message['tool_call_id'], `${param}.tool_call_id`);
  const call = open.get(id);
  if (call === undefined) throw unpaired(`${param}.tool_call_id answers no open tool call`);
  call.result = contentText(message['content'], `${param}.content`);
  open.delete(id);
}

// A model may have written arguments that are no JSON; the conversation goes on with the text as it was.
function parsedArguments(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function contentText(value: Json | undefined, param: string): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value) || value.length === 0) throw invalid(param, 'a text or a list of text parts');
  return value
    .map((item: Json, i) => {
      const part = objectAt(item, `${param}.${i}`);
      const type = part['type'];
      if (type !== 'text' && type !== 'refusal') throw unsupported(`${param}.${i}.type`);
      const other = Object.keys(part).find((name) => name !== 'type' && name !== type);
      if (other !== undefined) throw unsupported(`${param}.${i}.${other.slice(0, 64)}`);
      return textAt(part[type], `${param}.${i}.${type}`);
    })
    .join('');
}

function unpaired(message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', message, { details: { param: 'messages' } });
}
