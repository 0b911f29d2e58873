import { invalid, objectAt, unsupported } from './reading.ts';
import { grammarSchema } from './schema.ts';
import type { Json } from '../../core/canonical-json.ts';
import type { AnswerForm, ToolFunction } from './protocol.ts';
import type { JsonObject } from './reading.ts';

const MAX_TOOLS = 128;
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

/**
 * The shape that `tools`, `tool_choice`, `parallel_tool_calls` and `response_format` ask the answer to have.
 * @throws Fault `gateway.unsupported_parameter` or `gateway.invalid_request`, details.param the parameter.
 */
export function readForm(body: JsonObject): AnswerForm {
  const tools = readTools(body['tools'] ?? null);
  const format = readFormat(body['response_format'] ?? null);
  const parallel = body['parallel_tool_calls'] ?? null;
  if (parallel !== null && typeof parallel !== 'boolean')
    throw invalid('parallel_tool_calls', 'true or false');
  const choice = body['tool_choice'] ?? null;
  if (tools.length === 0) {
    if (choice !== null && choice !== 'none' && choice !== 'auto')
      throw invalid('tool_choice', 'left out without tools');
    return format;
  }
  const form = chosenForm(tools, choice, parallel !== false);
  if (form === null) return format;
  // One grammar holds an answer to one shape; a choice between a call and JSON would need two.
  if (format.kind !== 'text') throw unsupported('response_format', 'together with tools');
  return form;
}

/** Null: no call is wanted. */
function chosenForm(tools: readonly ToolFunction[], choice: Json, parallel: boolean): AnswerForm | null {
  if (choice === 'none') return null;
  if (choice === null || choice === 'auto') return { kind: 'tools', tools, parallel };
  if (choice === 'required') return { kind: 'required', tools };
  const wanted = objectAt(choice, 'tool_choice');
  if (wanted['type'] !== 'function') throw unsupported('tool_choice.type', 'other than function');
  const name = objectAt(wanted['function'] ?? null, 'tool_choice.function')['name'];
  const tool = tools.find((candidate) => candidate.name === name);
  if (tool === undefined) throw invalid('tool_choice.function.name', 'the name of one of the tools');
  return { kind: 'forced', tool };
}

function readTools(value: Json): ToolFunction[] {
  if (value === null) return [];
  if (!Array.isArray(value) || value.length > MAX_TOOLS)
    throw invalid('tools', `a list of at most ${MAX_TOOLS}`);
  const tools = value.map((item: Json, i) => readTool(objectAt(item, `tools.${i}`), `tools.${i}`));
  if (new Set(tools.map((tool) => tool.name)).size < tools.length)
    throw invalid('tools', 'a list of different names');
  return tools;
}

function readTool(tool: JsonObject, param: string): ToolFunction {
  if (tool['type'] !== 'function') throw unsupported(`${param}.type`, 'other than function');
  const described = objectAt(tool['function'] ?? null, `${param}.function`);
  const name = described['name'];
  if (typeof name !== 'string' || !NAME.test(name))
    throw invalid(`${param}.function.name`, 'a name of a-z A-Z 0-9 _ -');
  const description = described['description'] ?? null;
  if (description !== null && typeof description !== 'string')
    throw invalid(`${param}.function.description`, 'a text');
  const parameters = described['parameters'] ?? null;
  const at = `${param}.function.parameters`;
  return {
    name,
    description,
    parameters:
      parameters === null ? null : toolSchema(objectAt(parameters, at), at, described['strict'] === true),
  };
}

// A function without properties is called without arguments: the empty object.
function toolSchema(schema: JsonObject, param: string, strict: boolean): JsonObject {
  const type = schema['type'] ?? 'object';
  if (type !== 'object') throw invalid(`${param}.type`, 'object');
  return grammarSchema({ ...schema, type }, param, strict);
}

function readFormat(value: Json): AnswerForm {
  if (value === null) return { kind: 'text' };
  const format = objectAt(value, 'response_format');
  if (format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') return { kind: 'json' };
  if (format['type'] !== 'json_schema') {
    throw unsupported('response_format.type', 'other than text, json_object and json_schema');
  }
  const described = objectAt(format['json_schema'], 'response_format.json_schema');
  const param = 'response_format.json_schema.schema';
  return { kind: 'schema', schema: grammarSchema(objectAt(described['schema'], param), param, true) };
}
