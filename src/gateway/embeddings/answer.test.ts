import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeVector, readEmbeddings } from './answer.ts';
import { parseEmbeddings } from './request.ts';

const VECTORS = [
  [0.5, -0.25],
  [1, 2 ** -20],
];
// The two floats of the first vector, least byte first.
const FIRST = Buffer.from('0000003f000080be', 'hex').toString('base64');

const asked = (encoding: string): ReturnType<typeof parseEmbeddings> =>
  parseEmbeddings(Buffer.from(JSON.stringify({ model: 'm', input: ['a', 'b'], encoding_format: encoding })));
const answer = (vectors: readonly unknown[], more: object = {}): Buffer => {
  const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding, ...more }));
  return Buffer.from(JSON.stringify({ object: 'list', data, model: 'm', usage: { prompt_tokens: 2 } }));
};
const vectorsOf = (body: Buffer | null): unknown[] =>
  JSON.parse(String(body)).data.map(({ embedding }: { embedding: unknown }) => embedding);

test('base64 is of little-endian 32-bit floats', () => {
  assert.equal(encodeVector([0.5, -0.25], 'base64'), FIRST);
});

test('an answer in the encoding asked for stays as it came', () => {
  const body = answer(VECTORS);
  assert.equal(readEmbeddings(body, asked('float')), body);
});

test('an answer in the other encoding is turned, and its other members stay', () => {
  const base64 = VECTORS.map((vector) => encodeVector(vector, 'base64'));
  assert.deepEqual(vectorsOf(readEmbeddings(answer(VECTORS), asked('base64'))), base64);
  const floats = readEmbeddings(answer(base64), asked('float'));
  assert.deepEqual(vectorsOf(floats), VECTORS);
  assert.deepEqual(JSON.parse(String(floats)).usage, { prompt_tokens: 2 });
});

for (const [name, body] of [
  ['no JSON', Buffer.from('{"object"')],
  ['no list', Buffer.from('{"data":[]}')],
  ['too few vectors', answer(VECTORS.slice(1))],
  ['vectors out of order', answer(VECTORS, { index: 0 })],
  ['an empty vector', answer([[], [1]])],
  ['a vector with a hole', answer([[null], [1]])],
  ['base64 of no whole float', answer(['AAA=', 'AAAA'])],
  ['text that is no base64', answer(['!!!!', '!!!!'])],
] as const)
  test(`${name} is not the answer`, () => {
    assert.equal(readEmbeddings(body, asked('float')), null);
  });
