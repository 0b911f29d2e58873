import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

// The sizes of a llama that loads in milliseconds. The weights are noise: what it answers means nothing, how it answers does.
const DIMENSIONS = 64;
const LAYERS = 2;
const HEADS = 4;
const FEED_FORWARD = 128;
const CONTEXT = 8192;
const ALIGNMENT = 32;

// Value types of GGUF metadata, and the one tensor type used (ggml-org/ggml docs/gguf.md).
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const TENSOR_F32 = 0;

// Token types of the llama tokenizer.
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;

const CHAT_TEMPLATE =
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}" +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** Writes a llama with random weights and a byte vocabulary, the same bytes for the same seed, and returns its path. */
export async function writeTinyGguf(path: string, seed = 1): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, tinyGguf(seed));
  await rename(partial, path);
  return path;
}

/** The bytes of `writeTinyGguf`. */
export function tinyGguf(seed = 1): Buffer {
  const vocabulary = byteVocabulary();
  const tensors = randomTensors(vocabulary.length, seed);
  const metadata = metadataOf(vocabulary);
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    infos.push(text(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64));
    infos.push(u32(TENSOR_F32), u64(offset));
    data.push(tensor.data, padding(tensor.data.length));
    offset += tensor.data.length + padding(tensor.data.length).length;
  }
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(metadata.length),
    ...metadata,
    ...infos,
  ]);
  return Buffer.concat([head, padding(head.length), ...data]);
}

interface Token {
  readonly text: string;
  readonly type: number;
  readonly score: number;
}

function byteVocabulary(): Token[] {
  const tokens: Token[] = [
    { text: '<unk>', type: UNKNOWN, score: 0 },
    { text: '<s>', type: CONTROL, score: 0 },
    { text: '</s>', type: CONTROL, score: 0 },
    { text: '<|im_start|>', type: CONTROL, score: 0 },
    { text: '<|im_end|>', type: CONTROL, score: 0 },
  ];
  for (let byte = 0; byte < 256; byte++) {
    const hex = byte.toString(16).toUpperCase().padStart(2, '0');
    tokens.push({ text: `<0x${hex}>`, type: BYTE, score: 0 });
  }
  tokens.push({ text: '▁', type: NORMAL, score: -1 });
  for (let i = 1; i < 64; i++) {
    tokens.push({ text: String.fromCharCode(0x3042 + i), type: NORMAL, score: -i - 1 });
  }
  return tokens;
}

function metadataOf(vocabulary: readonly Token[]): Buffer[] {
  return [
    entry('general.architecture', STRING, text('llama')),
    entry('general.name', STRING, text('tiny-random')),
    entry('general.file_type', UINT32, u32(0)),
    entry('llama.context_length', UINT32, u32(CONTEXT)),
    entry('llama.embedding_length', UINT32, u32(DIMENSIONS)),
    entry('llama.block_count', UINT32, u32(LAYERS)),
    entry('llama.feed_forward_length', UINT32, u32(FEED_FORWARD)),
    entry('llama.attention.head_count', UINT32, u32(HEADS)),
    entry('llama.attention.head_count_kv', UINT32, u32(HEADS)),
    entry('llama.attention.layer_norm_rms_epsilon', FLOAT32, f32(1e-5)),
    entry('llama.rope.dimension_count', UINT32, u32(DIMENSIONS / HEADS)),
    entry('llama.vocab_size', UINT32, u32(vocabulary.length)),
    entry('tokenizer.ggml.model', STRING, text('llama')),
    list(
      'tokenizer.ggml.tokens',
      STRING,
      vocabulary.map((token) => text(token.text)),
    ),
    list(
      'tokenizer.ggml.scores',
      FLOAT32,
      vocabulary.map((token) => f32(token.score)),
    ),
    list(
      'tokenizer.ggml.token_type',
      INT32,
      vocabulary.map((token) => u32(token.type)),
    ),
    entry('tokenizer.ggml.bos_token_id', UINT32, u32(1)),
    entry('tokenizer.ggml.eos_token_id', UINT32, u32(4)),
    entry('tokenizer.ggml.unknown_token_id', UINT32, u32(0)),
    entry('tokenizer.ggml.add_bos_token', BOOL, Buffer.from([1])),
    entry('tokenizer.chat_template', STRING, text(CHAT_TEMPLATE)),
  ];
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
}

function randomTensors(vocabulary: number, seed: number): Tensor[] {
  let state = seed >>> 0;
  // A linear congruential generator (Numerical Recipes): the same weights on every machine.
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.2;
  };
  const tensor = (name: string, ...shape: number[]): Tensor => {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Buffer.alloc(count * 4);
    for (let i = 0; i < count; i++) data.writeFloatLE(name.includes('norm') ? 1 : next(), i * 4);
    return { name, shape, data };
  };
  const layers = Array.from({ length: LAYERS }, (_, i) => [
    tensor(`blk.${i}.attn_norm.weight`, DIMENSIONS),
    tensor(`blk.${i}.attn_q.weight`, DIMENSIONS, DIMENSIONS),
    tensor(`blk.${i}.attn_k.weight`, DIMENSIONS, DIMENSIONS),
    tensor(`blk.${i}.attn_v.weight`, DIMENSIONS, DIMENSIONS),
    tensor(`blk.${i}.attn_output.weight`, DIMENSIONS, DIMENSIONS),
    tensor(`blk.${i}.ffn_norm.weight`, DIMENSIONS),
    tensor(`blk.${i}.ffn_gate.weight`, DIMENSIONS, FEED_FORWARD),
    tensor(`blk.${i}.ffn_up.weight`, DIMENSIONS, FEED_FORWARD),
    tensor(`blk.${i}.ffn_down.weight`, FEED_FORWARD, DIMENSIONS),
  ]);
  return [
    tensor('token_embd.weight', DIMENSIONS, vocabulary),
    ...layers.flat(),
    tensor('output_norm.weight', DIMENSIONS),
    tensor('output.weight', DIMENSIONS, vocabulary),
  ];
}

function entry(key: string, type: number, value: Buffer): Buffer {
  return Buffer.concat([text(key), u32(type), value]);
}

function list(key: string, type: number, items: readonly Buffer[]): Buffer {
  return entry(key, ARRAY, Buffer.concat([u32(type), u64(items.length), ...items]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
