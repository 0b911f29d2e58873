import { invalid, objectAt, textAt, unsupported } from './reading.ts';
import type { Json } from '../../core/canonical-json.ts';
import type { JsonObject } from './reading.ts';

/** Keywords that describe and do not constrain (JSON Schema 2020-12, section 9). */
const ANNOTATIONS = new Set([
  '$comment',
  '$id',
  '$schema',
  'default',
  'deprecated',
  'examples',
  'readOnly',
  'title',
  'writeOnly',
]);
const TYPES = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
const FORMATS = new Set(['date-time', 'date', 'time']);
/** Stands for a format that may go. */
const NO_FORMAT = '';
const LOCAL_REFERENCE = '#/$defs/';
const MAX_DEPTH = 64;
const MAX_NODES = 2_000;
/** The engine unrolls repetitions into rules; it refuses more than this itself. */
const MAX_REPETITION = 2_000;

/**
 * A JSON Schema in the part of the language that the engine's grammar keeps: annotations go, `anyOf` becomes `oneOf`
 * (a value of one branch satisfies both), every property is generated.
 * @param param names the schema in errors, as in `response_format.json_schema.schema`.
 * @param strict false lets constraints go that the grammar cannot keep, for schemas that the caller gave as a hint.
 * @throws Fault `gateway.unsupported_parameter`, details.param the path of the keyword.
 */
export function grammarSchema(schema: JsonObject, param: string, strict: boolean): JsonObject {
  const definitions = new Set(
    ['$defs', 'definitions'].flatMap((keyword) => {
      const value = schema[keyword];
      return typeof value === 'object' && value !== null ? Object.keys(value) : [];
    }),
  );
  return convert(schema, { param, strict, definitions, depth: 0, left: { nodes: MAX_NODES } });
}

interface Place {
  readonly param: string;
  readonly strict: boolean;
  /** Names that `#/$defs/` may refer to. */
  readonly definitions: ReadonlySet<string>;
  readonly depth: number;
  /** Shared by the whole walk: a schema is the caller's and may be made to be large. */
  readonly left: { nodes: number };
}

function convert(schema: JsonObject, place: Place): JsonObject {
  if (place.depth > MAX_DEPTH || --place.left.nodes < 0) throw unsupported(place.param, 'of this size');
  const kept: Record<string, Json> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    const at = within(place, keyword);
    // The keywords whose promise the grammar keeps are those that have a reader.
    const reader = Object.hasOwn(READERS, keyword) ? READERS[keyword] : undefined;
    if (ANNOTATIONS.has(keyword)) continue;
    if (keyword === 'anyOf') kept['oneOf'] = branches(value, at);
    else if (keyword === 'definitions') kept['$defs'] = named(value, at);
    else if (reader !== undefined) kept[keyword] = reader(value, at);
    else if (place.strict) throw unsupported(at.param, 'as a constraint');
  }
  return closed(kept, place);
}

type Reader = (value: Json, at: Place) => Json;

const READERS: Readonly<Record<string, Reader>> = {
  oneOf: branches,
  prefixItems: branches,
  properties: named,
  $defs: named,
  items: (value, at) => convert(objectAt(value, at.param), at),
  additionalProperties: (value, at) =>
    typeof value === 'boolean' ? value : convert(objectAt(value, at.param), at),
  $ref: reference,
  format,
  enum: scalars,
  const: (value, at) => {
    if (isScalar(value)) return value;
    throw unsupported(at.param, 'of other than a scalar');
  },
  type: typeNames,
  required: (value) => value,
  description: (value, at) => textAt(value, at.param),
  maxItems: repetition,
  maxLength: repetition,
  maxProperties: repetition,
  minItems: repetition,
  minLength: repetition,
  minProperties: repetition,
};

function format(value: Json, at: Place): Json {
  if (typeof value === 'string' && FORMATS.has(value)) return value;
  if (at.strict) throw unsupported(at.param, 'as a constraint');
  return NO_FORMAT;
}

function scalars(value: Json, at: Place): Json {
  if (Array.isArray(value) && value.length > 0 && value.every(isScalar)) return value;
  throw unsupported(at.param, 'of other than scalars');
}

function isScalar(value: Json): boolean {
  return value === null || typeof value !== 'object';
}

function typeNames(value: Json, at: Place): Json {
  const names: readonly Json[] = Array.isArray(value) ? value : [value];
  if (names.length > 0 && names.every((name) => typeof name === 'string' && TYPES.has(name))) return value;
  throw invalid(at.param, 'a JSON type');
}

function repetition(value: Json, at: Place): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw invalid(at.param, 'a count');
  if (value > MAX_REPETITION) throw unsupported(at.param, `above ${MAX_REPETITION}`);
  return value;
}

// One of these decides alone what the grammar generates, so that a constraint beside it would be lost.
const DECIDING = ['$ref', 'oneOf', 'const', 'enum'];
const BESIDE = new Set(['$defs', 'description', 'type']);

// The grammar reads a schema without a type as null; any JSON value is what the standard says.
function closed(kept: Record<string, Json>, place: Place): JsonObject {
  if (kept['format'] === NO_FORMAT) delete kept['format'];
  const deciding = DECIDING.find((keyword) => keyword in kept);
  if (deciding !== undefined) {
    const lost = Object.keys(kept).find((keyword) => keyword !== deciding && !BESIDE.has(keyword));
    if (lost !== undefined && place.strict) throw unsupported(`${place.param}.${lost}`, `beside ${deciding}`);
    return kept;
  }
  const type = kept['type'];
  if (Array.isArray(type)) return union(kept, type);
  if (type !== undefined) return kept;
  if ('properties' in kept || 'additionalProperties' in kept) return { ...kept, type: 'object' };
  if ('items' in kept || 'prefixItems' in kept) return { ...kept, type: 'array' };
  if (place.depth === 0) return { ...kept, type: 'object', additionalProperties: true };
  return {
    oneOf: [
      { type: ['string', 'number', 'boolean', 'null'] },
      { type: 'object', additionalProperties: true },
      { type: 'array' },
    ],
  };
}

// `type: ["object", "null"]`: one branch for each type, for the grammar reads a list as bare scalars.
function union(kept: Record<string, Json>, types: readonly Json[]): JsonObject {
  const { $defs, type: _, ...rest } = kept;
  const oneOf = types.map((type) => ({ ...rest, type }));
  return $defs === undefined ? { oneOf } : { oneOf, $defs };
}

function branches(value: Json, at: Place): Json {
  if (!Array.isArray(value)) throw invalid(at.param, 'a list of schemas');
  return value.map((branch: Json, i) => convert(objectAt(branch, `${at.param}.${i}`), within(at, String(i))));
}

function named(value: Json, at: Place): Json {
  const entries = Object.entries(objectAt(value, at.param));
  return Object.fromEntries(
    entries.map(([name, schema]) => [
      name,
      convert(objectAt(schema, `${at.param}.${name}`), within(at, name)),
    ]),
  );
}

function reference(value: Json, at: Place): string {
  if (typeof value !== 'string') throw invalid(at.param, 'a reference');
  const local = value.replace('#/definitions/', LOCAL_REFERENCE);
  if (local.startsWith(LOCAL_REFERENCE) && at.definitions.has(local.slice(LOCAL_REFERENCE.length)))
    return local;
  throw unsupported(at.param, 'that names no definition of the schema');
}

function within(place: Place, name: string): Place {
  return { ...place, param: `${place.param}.${name}`, depth: place.depth + 1 };
}
