import assert from 'node:assert/strict';
import test from 'node:test';
import { signedLog } from '../../../test/support/signed-log.ts';
import { parseCheckpoint, verifyCheckpoint } from './checkpoint.ts';
import { trustKey } from './ed25519.ts';
import { Defect } from './findings.ts';
import { noteSigners, parseNote } from './note.ts';
import { parsePolicy } from './policy.ts';
import { parseVkey } from './vkey.ts';

const SPEC_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const SPEC_NOTE =
  'This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
const SUMDB_KEY = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const SUMDB_CHECKPOINT =
  'go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n\u2014 sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n';

const log = signedLog('localhost/test/00000000');
const key = parseVkey(log.vkey);
const other = parseVkey(signedLog('localhost/test/00000000').vkey);
const unknownLine = '\u2014 witness.example AAAAAAAA\n';

const exits = (exit: 1 | 2) => (thrown: unknown) => thrown instanceof Defect && thrown.exit === exit;

const signersOf = async (note: string, vkey: string) =>
  noteSigners(parseNote(note), [await trustKey(parseVkey(vkey))]);

test('verifies the example of the signed-note specification', async () => {
  const signers = await signersOf(SPEC_NOTE, SPEC_KEY);
  assert.deepEqual(signers, [parseVkey(SPEC_KEY)]);
  await assert.rejects(signersOf(SPEC_NOTE.replace('an', 'no'), SPEC_KEY), exits(1));
});

test('verifies a checkpoint of the Go checksum database', async () => {
  assert.equal((await signersOf(SUMDB_CHECKPOINT, SUMDB_KEY)).length, 1);
  assert.equal(parseCheckpoint(parseNote(SUMDB_CHECKPOINT).text).size, 35_225_469n);
});

test('refuses a checkpoint whose origin is not the name of a key that signed it', async () => {
  await assert.rejects(verifyCheckpoint(SUMDB_CHECKPOINT, [parseVkey(SUMDB_KEY)]), /origin/);
  const stranger = signedLog('localhost/stranger');
  const borrowed = stranger.note(`${log.origin}\n0\n${'A'.repeat(43)}=\n`);
  await assert.rejects(verifyCheckpoint(borrowed, [key, parseVkey(stranger.vkey)]), /origin/);
});

test('accepts a hundred signature lines and refuses more', async () => {
  const note = log.note();
  await verifyCheckpoint(note + unknownLine.repeat(99), [key]);
  await assert.rejects(verifyCheckpoint(note + unknownLine.repeat(100), [key]), /more than 100/);
});

test('ignores a line that shares the name or the id of a known key, but not both', async () => {
  const note = log.note();
  const bytes = Buffer.from(note.trimEnd().split(' ').at(-1) ?? '', 'base64');
  const sameName = `\u2014 ${log.origin} ${Buffer.concat([Buffer.alloc(4), bytes.subarray(4)]).toString('base64')}\n`;
  const sameId = `\u2014 ${log.origin}x ${bytes.toString('base64')}\n`;
  await verifyCheckpoint(note + sameName + sameId, [key]);
});

test('refuses a note whose known line has no 64 bytes', async () => {
  const short = `\u2014 ${log.origin} ${Buffer.concat([Buffer.from(key.id, 'hex'), Buffer.alloc(63)]).toString('base64')}\n`;
  await assert.rejects(verifyCheckpoint(log.note() + short, [key]), /does not verify/);
});

test('refuses a note signed by another key of the same name', async () => {
  await assert.rejects(verifyCheckpoint(log.note(), [other]), /not signed/);
});

test('needs only one of several keys', async () => {
  assert.equal((await verifyCheckpoint(log.note(), [other, key])).origin, log.origin);
});

const root = `${'A'.repeat(43)}=`;
const CHECKPOINTS: readonly (readonly [what: string, text: string])[] = [
  ['no size', `${log.origin}\n`],
  ['no root', `${log.origin}\n1\n`],
  ['an empty origin', `\n1\n${root}\n`],
  ['a negative size', `${log.origin}\n-1\n${root}\n`],
  ['a size in hex', `${log.origin}\n0x1\n${root}\n`],
  ['a size with a space', `${log.origin}\n1 \n${root}\n`],
  ['a size of 2^64', `${log.origin}\n18446744073709551616\n${root}\n`],
  ['a root of 31 bytes', `${log.origin}\n1\n${Buffer.alloc(31).toString('base64')}\n`],
  ['a root without padding', `${log.origin}\n1\n${'A'.repeat(43)}\n`],
  ['a blank line before extensions', `${log.origin}\n1\n${root}\n\nextension\n`],
];

for (const [what, text] of CHECKPOINTS)
  test(`refuses a signed checkpoint with ${what}`, async () => {
    await assert.rejects(verifyCheckpoint(log.note(text), [key]), exits(1));
  });

const NOTES: readonly (readonly [what: string, change: (note: string) => string])[] = [
  ['nothing in it', () => ''],
  ['only newlines', () => '\n\n\n'],
  ['no text before the signatures', (note) => note.slice(note.indexOf('\n\n') + 1)],
  ['a tab', (note) => note.replace('\n', '\t\n')],
  ['a NUL', (note) => note.replace('\n', '\0\n')],
  ['a lone surrogate', (note) => note.replace('\n', '\udfff\n')],
  ['two spaces in a signature line', (note) => note.replace('\u2014 ', '\u2014  ')],
  ['a plus in a signer name', (note) => `${note}\u2014 a+b AAAAAAAA\n`],
  ['a no-break space in a signer name', (note) => `${note}\u2014 a\u00a0b AAAAAAAA\n`],
  ['a signature of a key id only', (note) => `${note}\u2014 a AAAAAA==\n`],
  ['a signature that is not base64', (note) => `${note}\u2014 a AAAA-AAA\n`],
];

for (const [what, change] of NOTES)
  test(`refuses a note with ${what}`, async () => {
    await assert.rejects(verifyCheckpoint(change(log.note()), [key]), exits(1));
  });

const KEYS: readonly (readonly [what: string, vkey: string])[] = [
  ['nothing in it', ''],
  ['one part', 'name'],
  ['two parts', 'name+00000000'],
  ['no name', `+${SPEC_KEY.slice(SPEC_KEY.indexOf('+') + 1)}`],
  ['a space in its name', ` ${SPEC_KEY}`],
  ['a newline at its end', `${SPEC_KEY}\n`],
  ['an id that does not fit', SPEC_KEY.replace('530d903a', '530d903b')],
  ['a short id', SPEC_KEY.replace('530d903a', '530d903')],
  ['a short key', SPEC_KEY.slice(0, -4)],
  ['no padding where one is needed', 'a+00000000+AQ'],
  ['a cosignature type', signatureTypeFour()],
];

for (const [what, vkey] of KEYS)
  test(`finds a key with ${what} unusable`, () => assert.throws(() => parseVkey(vkey), exits(2)));

test('reads a key whose base64 holds a plus', () => {
  assert.equal(parseVkey(SUMDB_KEY).id, '033de0ae');
});

test('says that it cannot tell where the runtime has no Ed25519', async (t) => {
  t.mock.method(crypto.subtle, 'importKey', () => Promise.reject(new Error('NotSupportedError')));
  await assert.rejects(verifyCheckpoint(log.note(), [key]), exits(2));
});

const policy = (text: string) => parsePolicy(new TextEncoder().encode(text)).vkeys;

test('reads the log lines of a policy, with comments, blanks and addresses', () => {
  assert.deepEqual(policy(`# logs\n\n\tlog  ${SPEC_KEY} https://log.example/ \nlog ${SUMDB_KEY}`), [
    SPEC_KEY,
    SUMDB_KEY,
  ]);
});

const POLICIES: readonly (readonly [what: string, text: string])[] = [
  ['no log', '# nothing\n'],
  ['the key of a log for a witness', `log ${SPEC_KEY}\nwitness w ${SUMDB_KEY}\nquorum w\n`],
  ['a log without key', 'log\n'],
  ['a malformed key', 'log x\n'],
  ['too many items', `log ${SPEC_KEY} https://log.example/ x\n`],
  ['the same key twice', `log ${SPEC_KEY}\nlog ${SPEC_KEY}\n`],
  ['a carriage return', `log ${SPEC_KEY}\r\n`],
  ['another word for log', `LOG ${SPEC_KEY}\n`],
];

for (const [what, text] of POLICIES)
  test(`finds a policy with ${what} unusable`, () => assert.throws(() => policy(text), exits(2)));

function signatureTypeFour(): string {
  const encoded = Buffer.concat([Buffer.of(4), key.publicKey]).toString('base64');
  return `${key.name}+00000000+${encoded}`;
}
