import assert from 'node:assert/strict';
import test from 'node:test';
import { cosigner, signatureLine } from '../../../test/support/cosigner.ts';
import { signedLog } from '../../../test/support/signed-log.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { cosigners } from './cosignature.ts';
import { Defect } from './findings.ts';
import { parseNote } from './note.ts';
import { parsePolicy } from './policy.ts';
import { keyId, parseCosignerVkey, parseVkey } from './vkey.ts';

/* Hostile policies and keys of witnesses: each row names the rule of C2SP tlog-policy or tlog-cosignature it breaks. */

const log = signedLog('localhost/test/00000000');
log.append({ leaf: 1 });
const [w1, w2] = [cosigner('w1.example'), cosigner('w2.example')];
const vkeyOf = ({ key }: typeof w1, type = 4, bytes: Uint8Array = key.publicKey): string =>
  `${key.name}+${keyId(key.name, bytes, type)}+${Buffer.concat([Buffer.of(type), bytes]).toString('base64')}`;
const [one, two] = [vkeyOf(w1), vkeyOf(w2)];
const GOOD = `log ${log.vkey}\nwitness a ${one}\nwitness b ${two}\ngroup g 1 a b\nquorum g\n`;
const without = (line: RegExp): string => GOOD.replace(line, '');
const instead = (line: RegExp, other: string): string => GOOD.replace(line, other);

const POLICIES: readonly (readonly [what: string, rule: string, policy: string | Buffer, reason: RegExp])[] =
  [
    ['nothing', 'one log at least', '', /"log" line/],
    ['no log', 'one log at least', without(/^log.*\n/m), /"log" line/],
    ['no quorum', 'one quorum', without(/^quorum.*\n/m), /"quorum" line/],
    ['two quorums', 'one quorum', `${GOOD}quorum g\n`, /already said/],
    ['two different quorums', 'one quorum', `${GOOD}quorum none\n`, /already said/],
    ['a quorum of nobody', 'names are defined above', instead(/quorum g/, 'quorum x'), /"x" is not defined/],
    ['a quorum of two', 'one name', instead(/quorum g/, 'quorum a b'), /quorum <name\|none>/],
    ['a quorum without name', 'one name', instead(/quorum g/, 'quorum'), /quorum <name\|none>/],
    ['a threshold of 0', 'k is 1 to n', instead(/g 1/, 'g 0'), /a number from 1 to 2/],
    ['a threshold above its members', 'k is 1 to n', instead(/g 1/, 'g 3'), /a number from 1 to 2/],
    ['a negative threshold', 'k is 1 to n', instead(/g 1/, 'g -1'), /a number from 1 to 2/],
    ['a leading zero in a threshold', 'k is decimal', instead(/g 1/, 'g 01'), /a number from 1 to 2/],
    ['a threshold in full-width digits', 'k is decimal', instead(/g 1/, 'g \uff11'), /a number from 1 to 2/],
    ['a threshold as a word', 'any, all or k', instead(/g 1/, 'g ALL'), /a number from 1 to 2/],
    [
      'a threshold without end',
      'k is 1 to n',
      instead(/g 1/, `g ${'9'.repeat(10_000)}`),
      /a number from 1 to 2/,
    ],
    ['a group without members', 'one member at least', instead(/g 1 a b/, 'g 1'), /group <name>/],
    ['a group of itself', 'names are defined above', instead(/g 1 a b/, 'g 1 a g'), /"g" is not defined/],
    [
      'a member that comes later',
      'names are defined above',
      instead(/^witness b/m, 'group h 1 g\nwitness b'),
      /"g" is not/,
    ],
    ['a member twice', 'a member of one group', instead(/g 1 a b/, 'g 1 a a'), /already the member/],
    [
      'a member of two groups',
      'a member of one group',
      instead(/quorum/, 'group h 1 a\nquorum'),
      /already the member/,
    ],
    [
      'a group and a witness of one name',
      'names are unique',
      instead(/group g/, 'group a'),
      /"a" is taken|already/,
    ],
    ['two witnesses of one name', 'names are unique', instead(/witness b/, 'witness a'), /"a" is taken/],
    ['a witness named none', 'none is no name', instead(/witness b/, 'witness none'), /"none" is taken/],
    [
      'a witness key twice',
      'keys are unique',
      instead(/^witness b.*$/m, `witness b ${one}`),
      /stands in it twice/,
    ],
    ['a witness without key', 'a vkey', instead(/^witness b.*$/m, 'witness b'), /witness <name> <vkey>/],
    [
      'a witness with a log key',
      'a key that cosigns',
      instead(/^witness b.*$/m, `witness b ${log.vkey}`),
      /type 0x04 or 0x06/,
    ],
    ['a log with a witness key', 'a key that signs', instead(/^log.*$/m, `log ${one}`), /type 0x01/],
    [
      'a witness with too much',
      'name, vkey, url',
      instead(/^(witness b.*)$/m, '$1 https://w.example/ more'),
      /witness <name> <vkey>/,
    ],
    ['a keyword in capitals', 'keywords are exact', instead(/^quorum/m, 'QUORUM'), /expected log, witness/],
    ['an unknown keyword', 'keywords are exact', `${GOOD}threshold 1\n`, /line 6: expected log, witness/],
    ['CRLF', 'no control characters', GOOD.replaceAll('\n', '\r\n'), /control characters/],
    ['a NUL', 'no control characters', `${GOOD}\0`, /control characters/],
    ['no UTF-8', 'UTF-8', Buffer.concat([Buffer.from(GOOD), Buffer.of(0xff)]), /UTF-8/],
    ['lines without end', 'bounded work', `${GOOD}${'\n'.repeat(100_000)}`, /more than 1000 lines/],
  ];

for (const [what, rule, policy, reason] of POLICIES)
  test(`refuses a policy with ${what} (${rule})`, { timeout: 10_000 }, () =>
    assert.throws(
      () => parsePolicy(Buffer.from(policy)),
      (thrown) => thrown instanceof Defect && thrown.exit === 2 && reason.test(thrown.message),
    ),
  );

const { publicKey } = w1.key;
const KEYS: readonly (readonly [what: string, vkey: string, reason: RegExp])[] = [
  ['the type of a log', vkeyOf(w1, 1), /type 0x04 or 0x06/],
  ['the type ECDSA', vkeyOf(w1, 2), /type 0x04 or 0x06/],
  ['the type of RFC 6962', vkeyOf(w1, 5), /type 0x04 or 0x06/],
  ['an unassigned type', vkeyOf(w1, 255), /type 0x04 or 0x06/],
  ['an Ed25519 key as ML-DSA-44', vkeyOf(w1, 6), /1312 bytes/],
  ['31 bytes of Ed25519', vkeyOf(w1, 4, publicKey.subarray(1)), /32 bytes/],
  ['1311 bytes of ML-DSA-44', vkeyOf(w1, 6, Buffer.alloc(1311)), /1312 bytes/],
  ['nothing', `${w1.key.name}+${w1.key.id}+`, /type 0x04 or 0x06/],
  [
    'the id of the other algorithm',
    one.replace(w1.key.id, keyId(w1.key.name, publicKey, 1)),
    /id does not fit/,
  ],
  ['another name', one.replace('w1.', 'w0.'), /id does not fit/],
];

for (const [what, vkey, reason] of KEYS)
  test(`refuses a witness key with ${what} (tlog-cosignature "Format")`, () =>
    assert.throws(
      () => parseCosignerVkey(vkey),
      (thrown) => thrown instanceof Defect && thrown.exit === 2 && reason.test(thrown.message),
    ));

test('a cosignature is not the signature of the log, whoever made it, and one of the log is no cosignature', async () => {
  const note = log.note();
  const bytes = Buffer.from(note.trimEnd().split(' ').at(-1) ?? '', 'base64').subarray(4);
  const id = Buffer.from(w1.key.id, 'hex');
  const planted = signatureLine(w1.key.name, Buffer.concat([id, Buffer.alloc(8), bytes]));
  const parsed = parseNote(note + planted);
  await assert.rejects(cosigners(parsed, parseCheckpoint(parsed.text), [w1.key]), { exit: 1 });
  assert.throws(() => parseVkey(one), /type 0x01/);
  assert.equal(parsePolicy(Buffer.from(GOOD)).witnesses.length, 2, 'the policy that these are made from');
});
