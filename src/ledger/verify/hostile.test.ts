import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { inclusionPath, signedLog } from '../../../test/support/signed-log.ts';
import { openCheckpoint } from '../note.ts';
import { verifyCheckpoint } from './checkpoint.ts';
import { Defect } from './findings.ts';
import { verifyTlogProof } from './tlog-proof.ts';
import { hex, keyId, parseVkey } from './vkey.ts';

/*
 * Hostile notes, checkpoints, keys and proofs: each row names the rule of the specification that its input breaks. Rules
 * are those of C2SP signed-note, tlog-checkpoint and tlog-proof, RFC 9162 and RFC 8032.
 */

const ENTRIES = Array.from({ length: 13 }, (_, i) => Buffer.from(`entry ${i}`));
const log = signedLog('localhost/test/00000000');
for (const entry of ENTRIES) log.append(entry);
const key = parseVkey(log.vkey);
const honest = log.note();
const [text = ''] = honest.split('\n\n').map((part) => `${part}\n`);
const signature = Buffer.from(honest.trimEnd().split(' ').at(-1) ?? '', 'base64');
const root = text.split('\n')[2] ?? '';

type Case = readonly [what: string, rule: string, input: string | Buffer, reason: RegExp];

const line = (bytes: Buffer, name = log.origin): string => `\u2014 ${name} ${bytes.toString('base64')}\n`;
const flipped = (at: number): Buffer => Buffer.from(signature.map((byte, i) => (i === at ? byte ^ 1 : byte)));
const stated = (changed: string): string => log.note(changed);

/** S + L: another signature of the same text, which RFC 8032 forbids. */
function malleable(): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${hex(signature.subarray(36).toReversed())}`) + order;
  const digits = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').toReversed();
  return Buffer.concat([signature.subarray(0, 36), digits]);
}

/** The line that this key would have under another algorithm. */
function otherAlgorithm(type: number): Buffer {
  const named = Buffer.concat([Buffer.from(`${key.name}\n`), Buffer.of(type), key.publicKey]);
  return Buffer.concat([createHash('sha256').update(named).digest().subarray(0, 4), signature.subarray(4)]);
}

const NOTE = 'signed-note "Format"';
const SIGNATURES = 'signed-note "Signatures"';
const VERIFYING = 'signed-note "Verifying"';

const NOTES: readonly Case[] = [
  ['one newline', NOTE, '\n', /a text, a blank line and signatures/],
  ['a blank line alone', NOTE, '\n\n', /a text, a blank line and signatures/],
  ['no newline at its end', NOTE, honest.slice(0, -1), /final newline/],
  ['no blank line', NOTE, honest.replace('\n\n', '\n'), /blank line and signatures/],
  ['no signatures', NOTE, `${text}\n`, /signature lines only/],
  ['a text that goes on after the signatures', NOTE, `${honest}more\n`, /signature lines only/],
  ['a blank line after the signatures', NOTE, `${honest}\n`, /signature lines only/],
  ['a blank line between signatures', NOTE, `${honest}\n${line(signature)}`, /control|blank line|signed/],
  ['CRLF', NOTE, honest.replaceAll('\n', '\r\n'), /control character/],
  ['a carriage return in its text', NOTE, honest.replace('\n', '\r\n'), /control character/],
  ['a tab in a signature line', NOTE, honest.replace('\u2014 ', '\u2014\t'), /control character/],
  ['an escape character', NOTE, honest.replace('\n', '\u001b[2J\n'), /control character/],
  ['a NUL at its end', NOTE, `${honest}\0`, /control character/],
  ['Latin-1', NOTE, Buffer.from(honest.replace('\u2014', '\u0097'), 'latin1'), /not valid UTF-8/],
  ['a cut off character', NOTE, Buffer.from(honest).subarray(0, text.length + 2), /not valid UTF-8/],
  ['an overlong newline', NOTE, Buffer.concat([Buffer.from([0xc0, 0x8a]), Buffer.from(honest)]), /UTF-8/],
  [
    'a surrogate in UTF-8',
    NOTE,
    Buffer.concat([Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(honest)]),
    /UTF-8/,
  ],
  ['a byte order mark', VERIFYING, `\ufeff${honest}`, /does not verify/],
  ['UTF-16', NOTE, Buffer.from(honest, 'utf16le'), /control character/],
  ['a hyphen for the dash', SIGNATURES, honest.replace('\u2014', '-'), /signature lines only/],
  ['an en dash for the dash', SIGNATURES, honest.replace('\u2014', '\u2013'), /signature lines only/],
  ['no space after the dash', SIGNATURES, honest.replace('\u2014 ', '\u2014'), /signature lines only/],
  ['a space at the end of a line', SIGNATURES, honest.replace(/\n$/, ' \n'), /signature lines only/],
  ['a space before the dash', SIGNATURES, honest.replace('\u2014', ' \u2014'), /signature lines only/],
  ['no name', SIGNATURES, `${text}\n\u2014 ${signature.toString('base64')}\n`, /signature lines only/],
  [
    'an ideographic space in a name',
    SIGNATURES,
    `${honest}\u2014 a\u3000b AAAAAAAA\n`,
    /signature lines only/,
  ],
  ['a line separator in a name', SIGNATURES, `${honest}\u2014 a\u2028b AAAAAAAA\n`, /signature lines only/],
  ['no signature', SIGNATURES, `${text}\n\u2014 ${log.origin}\n`, /signature lines only/],
  ['a signature without padding', SIGNATURES, honest.replace(/=+\n$/, '\n'), /base64 of a key id/],
  ['a signature with spare bits', SIGNATURES, `${honest}\u2014 a AAAAAAB=\n`, /base64 of a key id/],
  ['a signature in base64url', SIGNATURES, `${honest}\u2014 a AAAA_AAA\n`, /base64 of a key id/],
  ['a signature of three bytes', SIGNATURES, `${honest}\u2014 a AAAA\n`, /base64 of a key id/],
  ['an empty signature', SIGNATURES, `${honest}\u2014 a ====\n`, /base64 of a key id/],
  ['signatures without end', 'bounded work', honest + '\u2014 a AAAAAAAA\n'.repeat(100_000), /more than 100/],
  ['a flipped bit in R', VERIFYING, `${text}\n${line(flipped(10))}`, /does not verify/],
  ['a flipped bit in S', VERIFYING, `${text}\n${line(flipped(50))}`, /does not verify/],
  [
    'a signature of 65 bytes',
    VERIFYING,
    `${text}\n${line(Buffer.concat([signature, Buffer.of(0)]))}`,
    /not verify/,
  ],
  ['a signature of 63 bytes', VERIFYING, `${text}\n${line(signature.subarray(0, -1))}`, /does not verify/],
  [
    'a signature of zeros',
    VERIFYING,
    `${text}\n${line(Buffer.concat([signature.subarray(0, 4), Buffer.alloc(64)]))}`,
    /not verify/,
  ],
  [
    'S not below the group order',
    'RFC 8032 section 5.1.7',
    `${text}\n${line(malleable())}`,
    /does not verify/,
  ],
  ['one good and one bad line of a key', VERIFYING, honest + line(flipped(40)), /does not verify/],
  [
    'one bad and one good line of a key',
    VERIFYING,
    `${text}\n${line(flipped(40))}${line(signature)}`,
    /not verify/,
  ],
  [
    'the id of another algorithm',
    VERIFYING,
    `${text}\n${line(otherAlgorithm(4))}`,
    /not signed by a given key/,
  ],
  [
    'a key id of zeros',
    VERIFYING,
    `${text}\n${line(Buffer.concat([Buffer.alloc(4), signature.subarray(4)]))}`,
    /not signed/,
  ],
  ['the name in capitals', VERIFYING, `${text}\n${line(signature, log.origin.toUpperCase())}`, /not signed/],
  ['a name that begins alike', VERIFYING, `${text}\n${line(signature, `${log.origin}0`)}`, /not signed/],
  ['a name that is a part of it', VERIFYING, `${text}\n${line(signature, 'localhost/test')}`, /not signed/],
  ['a signature over another text', VERIFYING, honest.replace('\n13\n', '\n14\n'), /does not verify/],
  ['a newline more in its text', VERIFYING, honest.replace('\n\n', '\n\n\n'), /does not verify|blank line/],
];

const CHECKPOINT = 'tlog-checkpoint "Note text"';

const CHECKPOINTS: readonly Case[] = [
  ['an origin alone', CHECKPOINT, stated(`${log.origin}\n`), /tree size/],
  ['no root', CHECKPOINT, stated(`${log.origin}\n13\n`), /root as base64/],
  ['a leading zero in its size', CHECKPOINT, stated(text.replace('\n13\n', '\n013\n')), /decimal number/],
  ['two zeros for none', CHECKPOINT, stated(text.replace('\n13\n', '\n00\n')), /decimal number/],
  ['a sign in its size', CHECKPOINT, stated(text.replace('\n13\n', '\n+13\n')), /decimal number/],
  ['a fraction', CHECKPOINT, stated(text.replace('\n13\n', '\n13.0\n')), /decimal number/],
  ['an exponent', CHECKPOINT, stated(text.replace('\n13\n', '\n1e1\n')), /decimal number/],
  ['a thousands separator', CHECKPOINT, stated(text.replace('\n13\n', '\n1_3\n')), /decimal number/],
  ['a space before its size', CHECKPOINT, stated(text.replace('\n13\n', '\n 13\n')), /decimal number/],
  ['an empty size', CHECKPOINT, stated(text.replace('\n13\n', '\n\n')), /decimal number/],
  ['full-width digits', CHECKPOINT, stated(text.replace('\n13\n', '\n\uff11\uff13\n')), /decimal number/],
  ['Arabic digits', CHECKPOINT, stated(text.replace('\n13\n', '\n\u0661\u0663\n')), /decimal number/],
  ['a size of 2^64', CHECKPOINT, stated(text.replace('\n13\n', `\n${2n ** 64n}\n`)), /decimal number/],
  [
    'a size of a million digits',
    CHECKPOINT,
    stated(text.replace('\n13\n', `\n${'9'.repeat(10 ** 6)}\n`)),
    /decimal/,
  ],
  [
    'a size beyond 2^53',
    'no log is so large',
    stated(text.replace('\n13\n', `\n${2n ** 53n}\n`)),
    /larger than any log/,
  ],
  [
    'a root of 33 bytes',
    CHECKPOINT,
    stated(text.replace(root, Buffer.alloc(33).toString('base64'))),
    /32 bytes/,
  ],
  ['an empty root', CHECKPOINT, stated(text.replace(root, '')), /32 bytes/],
  ['a root in hex', CHECKPOINT, stated(text.replace(root, 'a'.repeat(64))), /32 bytes/],
  ['a root with spare bits', CHECKPOINT, stated(text.replace(root, `${'A'.repeat(42)}B=`)), /32 bytes/],
  ['a space after its root', CHECKPOINT, stated(text.replace(root, `${root} `)), /32 bytes/],
  ['an empty extension line', CHECKPOINT, stated(`${text}\nmore\n`), /blank line/],
  ['the lines in another order', CHECKPOINT, stated(`${log.origin}\n${root}\n13\n`), /decimal number/],
  [
    'another origin than its key',
    'tlog-checkpoint "Note signature"',
    stated(text.replace('test', 'best')),
    /origin is not the name/,
  ],
];

for (const [what, rule, input, reason] of [...NOTES, ...CHECKPOINTS])
  test(`refuses a checkpoint with ${what} (${rule})`, { timeout: 10_000 }, async () => {
    const found = await openCheckpoint(input, key);
    assert.ok(found instanceof Defect, 'it was believed');
    assert.equal(found.exit, 1);
    assert.match(found.message, reason);
  });

test('reads the checkpoint that these are made from, and one with extension lines', async () => {
  assert.equal((await verifyCheckpoint(honest, [key])).size, 13n);
  assert.equal((await verifyCheckpoint(stated(`${text}extension\n\u3042\n`), [key])).size, 13n);
  assert.ok(!((await openCheckpoint(Buffer.from(honest), key)) instanceof Defect));
});

const encoded = (type: number, bytes: Uint8Array = key.publicKey): string =>
  Buffer.concat([Buffer.of(type), bytes]).toString('base64');
const VKEYS: readonly (readonly [what: string, vkey: string, reason: RegExp])[] = [
  ['the type ECDSA', `${key.name}+${key.id}+${encoded(2)}`, /type 0x01/],
  ['the type of a cosignature', `${key.name}+${key.id}+${encoded(4)}`, /type 0x01/],
  ['the type of RFC 6962', `${key.name}+${key.id}+${encoded(5)}`, /type 0x01/],
  ['the type ML-DSA-44', `${key.name}+${key.id}+${encoded(6)}`, /type 0x01/],
  ['an unassigned type', `${key.name}+${key.id}+${encoded(255)}`, /type 0x01/],
  ['a key of 33 bytes', `${key.name}+${key.id}+${encoded(1, Buffer.alloc(33))}`, /33 bytes/],
  ['no key', `${key.name}+${key.id}+`, /33 bytes/],
  ['base64url', `${key.name}+${key.id}+${encoded(1).replace(/.$/, '_')}`, /33 bytes/],
  ['the id of another name', `${key.name}+${keyId('other', key.publicKey)}+${encoded(1)}`, /id does not fit/],
  ['an id of letters', `${key.name}+zzzzzzzz+${encoded(1)}`, /id does not fit/],
  ['a newline in its name', `a\nb+${keyId('a\nb', key.publicKey)}+${encoded(1)}`, /<name>\+<key id>/],
  ['a lone surrogate in its name', `a\ud800+00000000+${encoded(1)}`, /<name>\+<key id>/],
];

for (const [what, vkey, reason] of VKEYS)
  test(`refuses a key with ${what} (signed-note "Verifier keys")`, () =>
    assert.throws(
      () => parseVkey(vkey),
      (thrown) => thrown instanceof Defect && thrown.exit === 2 && reason.test(thrown.message),
    ));

const INDEX = 5;
const HASHES = inclusionPath(ENTRIES, INDEX).map((hash) => Buffer.from(hash).toString('base64'));
const EXTRA = `extra ${ENTRIES[INDEX]?.toString('base64') ?? ''}`;
const HEADER = 'c2sp.org/tlog-proof@v1';
const proofOf = (lines: readonly string[], note = honest): string => `${lines.join('\n')}\n\n${note}`;
const GOOD = proofOf([HEADER, EXTRA, `index ${INDEX}`, ...HASHES]);
const indexed = (index: string, hashes = HASHES): string => proofOf([HEADER, `index ${index}`, ...hashes]);
const PROOF = 'tlog-proof "Format"';
const INCLUSION = 'RFC 9162 section 2.1.3.2';

const PROOFS: readonly Case[] = [
  ['nothing in it', PROOF, '', /blank line and a checkpoint/],
  ['no header', PROOF, proofOf([`index ${INDEX}`, ...HASHES]), /first line/],
  ['another version', PROOF, GOOD.replace('@v1', '@v2'), /first line/],
  ['a space after its header', PROOF, GOOD.replace('@v1', '@v1 '), /first line/],
  ['a byte order mark', PROOF, `\ufeff${GOOD}`, /first line/],
  ['CRLF', PROOF, GOOD.replaceAll('\n', '\r\n'), /blank line and a checkpoint/],
  ['no UTF-8', PROOF, Buffer.concat([Buffer.from(GOOD), Buffer.of(0xff)]), /UTF-8/],
  ['an extra line that is not base64', PROOF, GOOD.replace(EXTRA, 'extra !'), /base64 after "extra"/],
  ['two extra lines', PROOF, GOOD.replace(EXTRA, `${EXTRA}\n${EXTRA}`), /"index"/],
  [
    'an extra line after the index',
    PROOF,
    proofOf([HEADER, `index ${INDEX}`, EXTRA, ...HASHES]),
    /each hash/,
  ],
  ['no index', PROOF, proofOf([HEADER, ...HASHES]), /"index"/],
  ['a leading zero in its index', PROOF, indexed('05'), /"index"/],
  ['a negative index', PROOF, indexed('-5'), /"index"/],
  ['an index in hex', PROOF, indexed('0x5'), /"index"/],
  ['an index of 2^64', PROOF, indexed(String(2n ** 64n)), /"index"/],
  ['an index without number', PROOF, indexed(''), /"index"/],
  ['the index of the size', INCLUSION, indexed('13'), /index 13 lies beyond the 13 entries/],
  ['an index of 2^64 - 1', INCLUSION, indexed(String(2n ** 64n - 1n)), /lies beyond/],
  [
    'an index in an empty log',
    INCLUSION,
    proofOf([HEADER, 'index 0'], signedEmpty()),
    /beyond the 0 entries/,
  ],
  ['a hash of 31 bytes', PROOF, indexed('5', [Buffer.alloc(31).toString('base64')]), /each hash/],
  ['a hash without padding', PROOF, indexed('5', [(HASHES[0] ?? '').slice(0, -1)]), /each hash/],
  ['a hash with spare bits', PROOF, indexed('5', [`${'A'.repeat(42)}B=`]), /each hash/],
  [
    'a hash and a space',
    PROOF,
    indexed(
      '5',
      HASHES.map((hash) => `${hash} `),
    ),
    /each hash/,
  ],
  [
    '65 hashes',
    'RFC 9162 section 2.1.3.1',
    indexed(
      '5',
      Array.from({ length: 65 }, () => HASHES[0] ?? ''),
    ),
    /more than 64/,
  ],
  ['a hash too few', INCLUSION, indexed('5', HASHES.slice(1)), /not at index 5/],
  ['a hash too many', INCLUSION, indexed('5', [...HASHES, HASHES[0] ?? '']), /not at index 5/],
  ['no hashes', INCLUSION, indexed('5', []), /not at index 5/],
  ['its hashes in another order', INCLUSION, indexed('5', HASHES.toReversed()), /not at index 5/],
  ['the index of its sibling', INCLUSION, indexed('4'), /not at index 4/],
  ['a blank line too early', PROOF, GOOD.replace(`\nindex`, `\n\nindex`), /"index"|not a signed note/],
  ['two blank lines', PROOF, GOOD.replace('\n\n', '\n\n\n'), /origin|does not verify|signed note/],
  ['no checkpoint', PROOF, proofOf([HEADER, `index ${INDEX}`, ...HASHES], ''), /not a signed note/],
  [
    'a checkpoint of another key',
    PROOF,
    proofOf([HEADER, `index ${INDEX}`, ...HASHES], signedLog(log.origin).note()),
    /not signed/,
  ],
  ['data after the checkpoint', PROOF, `${GOOD}more\n`, /signature lines only/],
  ['more than 256 KiB', 'bounded work', GOOD + 'x'.repeat(2 ** 18), /larger than 256 KiB/],
];

for (const [what, rule, input, reason] of PROOFS)
  test(`refuses a tlog-proof with ${what} (${rule})`, { timeout: 10_000 }, async () => {
    const proof = Buffer.from(input);
    await assert.rejects(
      verifyTlogProof(proof, ENTRIES[INDEX] ?? Buffer.alloc(0), [log.vkey]),
      (thrown) => thrown instanceof Defect && reason.test(thrown.message),
    );
  });

test('believes a tlog-proof of its entry, with and without the extra line, and of no other entry', async () => {
  const proven = await verifyTlogProof(Buffer.from(GOOD), ENTRIES[INDEX] ?? Buffer.alloc(0), [log.vkey]);
  assert.deepEqual([proven.index, proven.checkpoint.size], [5n, 13n]);
  assert.deepEqual(Buffer.from(proven.extra ?? []), ENTRIES[INDEX]);
  const plain = Buffer.from(indexed('5'));
  assert.equal((await verifyTlogProof(plain, ENTRIES[INDEX] ?? Buffer.alloc(0), [log.vkey])).extra, null);
  await assert.rejects(verifyTlogProof(plain, ENTRIES[4] ?? Buffer.alloc(0), [log.vkey]), /not at index 5/);
  await assert.rejects(verifyTlogProof(plain, ENTRIES[INDEX] ?? Buffer.alloc(0), ['x']), /malformed key/);
});

function signedEmpty(): string {
  const empty = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
  return log.note(`${log.origin}\n0\n${empty}\n`);
}
