/** Numbers that 32 bits hold exactly, so that both encodings can be compared. */
const SCALE = 64;

/**
 * The answer to an embeddings request: for each input a vector that follows from it, in the encoding asked for unless
 * `encoding` says which one this provider always sends.
 */
export function embeddingsReply(body: Buffer, encoding?: 'float' | 'base64'): object {
  const asked = Object(JSON.parse(body.toString()));
  const inputs: unknown[] =
    Array.isArray(asked.input) && typeof asked.input[0] !== 'number' ? asked.input : [asked.input];
  const size: number = asked.dimensions ?? 4;
  const data = inputs.map((input, index) => {
    const vector = vectorOf(JSON.stringify(input), size);
    const text = (encoding ?? asked.encoding_format) === 'base64';
    return { object: 'embedding', index, embedding: text ? base64(vector) : vector };
  });
  const usage = { prompt_tokens: inputs.length, total_tokens: inputs.length };
  return { object: 'list', data, model: asked.model, usage };
}

/** The vector of an input, as JSON writes it. */
export function vectorOf(input: string, size = 4): number[] {
  return Array.from(
    { length: size },
    (_, i) => ((input.charCodeAt(i % input.length) % SCALE) - SCALE / 2) / SCALE,
  );
}

function base64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}
