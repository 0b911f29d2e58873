import { Fault } from '../../core/fault.ts';
import type { BodyRules } from '../../policy/types.ts';
import { isRecord } from '../json-body.ts';
import { mayFetch, requireOwnReferences } from './references.ts';
import { refused } from './refused.ts';
import { mayRun, requireCallerTools } from './tools.ts';

/** Members of messages that hold their content; reasoning is sent back by clients as a provider gave it. */
const MEMBERS: ReadonlySet<string> = new Set([
  'annotations',
  'content',
  'function_call',
  'name',
  'reasoning',
  'reasoning_content',
  'reasoning_details',
  'refusal',
  'role',
  'tool_call_id',
  'tool_calls',
]);

/** The members that a content part of each kind may have; everything they hold travels in the body itself. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  text: ['type', 'text'],
  refusal: ['type', 'refusal'],
  image_url: ['type', 'image_url'],
  input_audio: ['type', 'input_audio'],
  file: ['type', 'file'],
};

/** An image in the body itself; one in SVG can refer to what lies elsewhere. */
const INLINED = /^data:image\/(?!svg)/i;

/**
 * Refuses whatever in a chat body only refers to what it means, so that the provider would look it up, fetch it or run
 * it past this road; what the record allows may go.
 * @throws Fault `gateway.unsupported_parameter`, `gateway.invalid_request` naming the member.
 */
export function requireOwnContent(body: Readonly<Record<string, unknown>>, rules: BodyRules): void {
  const { messages, prediction, response_format: form } = body;
  for (const [i, message] of (Array.isArray(messages) ? messages : []).entries()) {
    if (isRecord(message)) checkMessage(message, `messages[${i}]`, rules);
  }
  if (isRecord(prediction)) checkContent(prediction['content'], 'prediction.content', rules);
  requireCallerTools(body, rules);
  requireOwnReferences(form, 'response_format', rules);
}

function checkMessage(message: Record<string, unknown>, path: string, rules: BodyRules): void {
  for (const [name, value] of Object.entries(message)) {
    if (MEMBERS.has(name)) continue;
    // Answers carry it empty, and clients send them back; filled it names what the provider keeps.
    if (name !== 'audio' || value !== null) throw refused(`${path}.${name}`);
  }
  checkContent(message['content'], `${path}.content`, rules);
  const { tool_calls: calls } = message;
  for (const [i, call] of (Array.isArray(calls) ? calls : []).entries()) {
    const type: unknown = isRecord(call) ? (call['type'] ?? 'function') : null;
    if (!mayRun(type, rules)) throw refused(`${path}.tool_calls[${i}].type`, 'tools');
  }
}

function checkContent(content: unknown, path: string, rules: BodyRules): void {
  if (!Array.isArray(content)) return;
  for (const [i, part] of content.entries()) if (isRecord(part)) checkPart(part, `${path}[${i}]`, rules);
}

function checkPart(part: Record<string, unknown>, path: string, rules: BodyRules): void {
  const { type } = part;
  const members = typeof type === 'string' && Object.hasOwn(PARTS, type) ? PARTS[type] : undefined;
  if (members === undefined) throw refused(`${path}.type`);
  const other = Object.keys(part).find((name) => !members.includes(name));
  if (other !== undefined) throw refused(`${path}.${other}`);
  if (type === 'image_url') checkImage(part['image_url'], `${path}.image_url`, rules);
  if (type === 'input_audio') checkAudio(part['input_audio'], `${path}.input_audio`);
  if (type === 'file' && !rules.files) throw refused(`${path}.type`, 'files');
}

function checkImage(image: unknown, path: string, rules: BodyRules): void {
  const { url, detail = 'auto', ...others } = isRecord(image) ? image : {};
  if (typeof url !== 'string') throw invalid(`${path}.url`, 'expected a data: URL');
  if (!INLINED.test(url) && !mayFetch(url, rules)) throw refused(`${path}.url`, 'urls');
  if (typeof detail !== 'string') throw invalid(`${path}.detail`, 'expected a string');
  for (const name of Object.keys(others)) throw refused(`${path}.${name}`);
}

function checkAudio(audio: unknown, path: string): void {
  const { data, format, ...others } = isRecord(audio) ? audio : {};
  if (typeof data !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(data)) {
    throw invalid(`${path}.data`, 'expected base64');
  }
  if (typeof format !== 'string') throw invalid(`${path}.format`, 'expected a string');
  for (const name of Object.keys(others)) throw refused(`${path}.${name}`);
}

function invalid(param: string, message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', `${param}: ${message}`, { details: { param } });
}
