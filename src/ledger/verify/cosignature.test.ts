import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cosigner, signatureLine, type Cosigner } from '../../../test/support/cosigner.ts';
import { signedLog } from '../../../test/support/signed-log.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { cosigners, requireQuorum } from './cosignature.ts';
import { Defect } from './findings.ts';
import { parseNote } from './note.ts';
import { parsePolicy } from './policy.ts';
import { keyId, parseVkey } from './vkey.ts';

const log = signedLog('localhost/test/00000000');
log.append({ leaf: 1 });
const NOTE = log.note();
const [w1, w2] = [cosigner('w1.example'), cosigner('w2.example')];
const post = cosigner('w3.example', 'ml-dsa-44');
const MAX_TIME = 2n ** 63n - 1n;

type Reading = Awaited<ReturnType<typeof cosigners>>;

async function read(note: string, ...known: readonly Cosigner[]): Promise<Reading> {
  const parsed = parseNote(note);
  return cosigners(
    parsed,
    parseCheckpoint(parsed.text),
    known.map(({ key }) => key),
  );
}

function times({ cosigned }: Reading): readonly (readonly [string, bigint])[] {
  return cosigned.map(({ key, time }) => [key.name, time] as const);
}

test('both kinds of cosignature verify, at the time that they state', async () => {
  const note = NOTE + w1.line(NOTE) + post.line(NOTE, 7n) + w2.line(NOTE, MAX_TIME);
  assert.deepEqual(times(await read(note, w1, w2, post)), [
    ['w1.example', 1_800_000_000n],
    ['w3.example', 7n],
    ['w2.example', MAX_TIME],
  ]);
});

test('a line of an unknown key says nothing, whatever it holds', async () => {
  const stranger = signatureLine('w1.example', Buffer.alloc(76));
  assert.deepEqual(times(await read(NOTE + stranger + w2.line(NOTE), w1)), []);
});

test('extension lines are part of what Ed25519 signs, and not of what ML-DSA-44 does', async () => {
  const [origin, size, root] = NOTE.split('\n');
  const text = (extension: string): string => log.note(`${origin}\n${size}\n${root}\n${extension}\n`);
  const moved = (by: Cosigner): string => text('another') + by.line(text('one'));
  await assert.rejects(read(moved(w1), w1), { exit: 1 });
  assert.equal((await read(moved(post), post)).cosigned.length, 1);
});

const other = signedLog('localhost/other/00000000');
other.append({ leaf: 1 });

for (const by of [w1, post]) {
  const { key } = by;
  const bytes = Buffer.from(by.line(NOTE).split(' ')[2] ?? '', 'base64');
  const changed = (at: number, bit = 1): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(at) ^ bit, at);
    return copy;
  };
  const wrong: Readonly<Record<string, Buffer>> = {
    'another time': changed(11),
    'a time after 2^63-1': changed(4, 0x80),
    'a changed signature': changed(20),
    'a changed end': changed(bytes.length - 1),
    'a signature that is too short': bytes.subarray(0, -1),
    'a signature that is too long': Buffer.concat([bytes, Buffer.alloc(1)]),
    'no signature': bytes.subarray(0, 12),
    'half a time': bytes.subarray(0, 8),
  };
  for (const [what, planted] of Object.entries(wrong))
    test(`${key.algorithm}: ${what} of a known witness is invalid`, async () => {
      await assert.rejects(read(NOTE + signatureLine(key.name, planted), by), { exit: 1 });
    });

  test(`${key.algorithm}: a cosignature of another tree, or of another log, is invalid`, async () => {
    const line = by.line(NOTE);
    log.append({ leaf: Math.random() });
    await assert.rejects(read(log.note() + line, by), { exit: 1 });
    await assert.rejects(read(other.note() + line, by), { exit: 1 });
  });
}

test('ML-DSA-44 binds the name of the cosigner, too', async () => {
  const renamed = { ...post, key: { ...post.key, name: 'w4.example' } };
  const bytes = Buffer.from(post.line(NOTE).split(' ')[2] ?? '', 'base64');
  await assert.rejects(read(NOTE + signatureLine('w4.example', bytes), renamed), { exit: 1 });
});

const TEN = Array.from({ length: 10 }, (_, i) => cosigner(`own-${i}.example`));
const PARTNERS = [
  `log ${log.vkey}`,
  ...TEN.map(({ vkey }, i) => `witness own-${i} ${vkey}`),
  `witness bank ${w1.vkey} https://w1.example`,
  `witness ministry ${w2.vkey}`,
  `witness post ${post.vkey}`,
  `group own any ${TEN.map((_, i) => `own-${i}`).join(' ')}`,
  'group abroad all bank post',
  'group partners 2 own abroad ministry',
  'quorum partners',
].join('\n');

async function quorum(...by: readonly Cosigner[]): Promise<string> {
  const note = log.note();
  const parsed = parseNote(note + by.map((one) => one.line(note)).join(''));
  try {
    await requireQuorum(
      { note: parsed, checkpoint: parseCheckpoint(parsed.text) },
      parsePolicy(Buffer.from(PARTNERS)),
    );
    return 'met';
  } catch (thrown) {
    if (thrown instanceof Defect) return `${thrown.exit} ${thrown.message}`;
    throw thrown;
  }
}

test('a quorum counts organisations: ten witnesses of one are one', async () => {
  assert.equal(
    await quorum(...TEN),
    `1 checkpoint: the quorum "partners" is not met; cosigned by ${TEN.map((_, i) => `own-${i}`).join(', ')}`,
  );
  const [own = w1] = TEN;
  assert.match(await quorum(own, own, own), /not met/);
  assert.match(await quorum(own, w1), /not met/, 'half of an organisation is none of it');
  assert.match(await quorum(), /cosigned by nobody/);
  assert.equal(await quorum(own, w2), 'met');
  assert.equal(await quorum(own, w1, post), 'met');
  assert.equal(await quorum(w1, post, w2), 'met');
});

test('what a runtime cannot check counts for nothing, and is said', async (t) => {
  const [own = w1] = TEN;
  const whole = crypto.subtle.importKey.bind(crypto.subtle);
  t.mock.method(crypto.subtle, 'importKey', (...args: Parameters<typeof whole>) =>
    args[2] === 'ML-DSA-44' ? Promise.reject(new Error('NotSupportedError')) : whole(...args),
  );
  assert.equal(await quorum(own, w2, post), 'met');
  assert.match(await quorum(own, w1, post), /^2 .*not met.*w3\.example: cannot check ML-DSA-44/);
});

const WITNESSES = `log ${log.vkey}\nwitness a ${w1.vkey}\nwitness b ${w2.vkey}\n`;
/** The key of a log, written as that of a witness. */
function cosignerOf(vkey: string): string {
  const { name, publicKey } = parseVkey(vkey);
  const bytes = Buffer.concat([Buffer.of(4), publicKey]).toString('base64');
  return `${name}+${keyId(name, publicKey, 4)}+${bytes}`;
}

const POLICIES: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ['no quorum line beside witnesses', WITNESSES, /expected a "quorum" line/],
  ['two quorum lines', `${WITNESSES}quorum a\nquorum none\n`, /line 5: the quorum is already said/],
  ['a quorum that is not defined', `${WITNESSES}quorum c\n`, /line 4: "c" is not defined above/],
  ['a quorum of two names', `${WITNESSES}quorum a b\n`, /line 4: expected "quorum/],
  ['a group after its use', `${WITNESSES}quorum g\ngroup g any a\n`, /line 4: "g" is not defined/],
  ['a group of itself', `${WITNESSES}group g any g\nquorum g\n`, /line 4: "g" is not defined/],
  ['a group without members', `${WITNESSES}group g any\nquorum g\n`, /line 4: expected "group/],
  ['a threshold of none', `${WITNESSES}group g 0 a b\nquorum g\n`, /a number from 1 to 2/],
  ['a threshold above its members', `${WITNESSES}group g 3 a b\nquorum g\n`, /a number from 1 to 2/],
  ['a threshold in other digits', `${WITNESSES}group g 01 a b\nquorum g\n`, /a number from 1 to 2/],
  ['a witness twice in a group', `${WITNESSES}group g 2 a a\nquorum g\n`, /already the member/],
  [
    'a witness in two groups',
    `${WITNESSES}group g any a\ngroup h any a b\ngroup i all g h\nquorum i\n`,
    /line 5: "a" is already the member of a group/,
  ],
  ['none as a member', `${WITNESSES}group g any none\nquorum g\n`, /"none" is not defined above/],
  ['none as a name', `${WITNESSES}group none any a\nquorum none\n`, /"none" is taken/],
  [
    'a log that is its own witness',
    `${WITNESSES}witness own ${cosignerOf(log.vkey)}\nquorum own\n`,
    /line 4: one key is that of a log and of a witness/,
  ],
  [
    'both keys of a witness counted',
    `log ${log.vkey}\nwitness a ${w1.vkey}\nwitness b ${cosigner('w1.example', 'ml-dsa-44').vkey}\ngroup g all a b\nquorum g\n`,
    /line 4: w1\.example would count twice; put its keys into a group of "any"/,
  ],
  ['a name twice', `${WITNESSES}witness a ${post.vkey}\nquorum a\n`, /line 4: "a" is taken/],
  [
    'a key under two names',
    `${WITNESSES}witness c ${w1.vkey}\nquorum a\n`,
    /a witness key stands in it twice/,
  ],
  ['a key with a changed id', `${WITNESSES.replace(w1.key.id, '00000000')}quorum a\n`, /key id does not fit/],
  ['a witness without key', `${WITNESSES}witness c\nquorum a\n`, /line 4: expected "witness/],
  ['an unknown word', `${WITNESSES}witnes c\nquorum a\n`, /line 4: expected log, witness/],
  ['no log', WITNESSES.split('\n').slice(1).join('\n') + 'quorum a\n', /expected a "log" line/],
  ['lines without end', `${WITNESSES}quorum a\n${'\n'.repeat(1000)}`, /more than 1000 lines/],
];

for (const [what, text, says] of POLICIES)
  test(`a policy with ${what} is unusable`, () => {
    assert.throws(
      () => parsePolicy(Buffer.from(text)),
      (thrown) => {
        assert.ok(thrown instanceof Defect && thrown.exit === 2);
        assert.match(thrown.message, says);
        return true;
      },
    );
  });

test('a policy keeps where witnesses are asked, and may ask for none of them', () => {
  const { quorum: asked, witnesses } = parsePolicy(
    Buffer.from(PARTNERS.replace('quorum partners', 'quorum none')),
  );
  assert.equal(asked, null);
  assert.deepEqual(
    witnesses.slice(-3).map(({ name, url }) => [name, url]),
    [
      ['bank', 'https://w1.example'],
      ['ministry', null],
      ['post', null],
    ],
  );
});
