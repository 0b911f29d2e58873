import { hashLeaf } from '../../src/ledger/verify/tree.ts';

/** A receipt changed in one way, and what `verify` must end with. Bodies are given where the change is in them. */
export interface Forgery {
  readonly name: string;
  readonly text: string;
  readonly request?: Uint8Array;
  readonly response?: Uint8Array;
  readonly exit: 0 | 1 | 2;
}

/** The bodies a receipt is about; `response` is null when none was recorded. */
export interface ForgedBodies {
  readonly request: Uint8Array;
  readonly response: Uint8Array | null;
}

interface Leaf {
  index: number | string;
  entry: string;
  path: string[];
  [member: string]: unknown;
}

interface Attempt {
  decision: Leaf | null;
  outcome?: Leaf | null;
}

interface Receipt {
  v: number;
  id: string;
  origin: string;
  checkpoint?: string;
  attempts: Attempt[];
  open?: Record<string, string>;
  [member: string]: unknown;
}

type Change = (receipt: Receipt, first: { decision: Leaf; outcome: Leaf }) => void;
type Changes = Readonly<Record<string, Change>>;

/**
 * Every way of spoiling a receipt that needs no signing key, and some changes that must do no harm. The receipt must be
 * valid and closed, its first attempt allowed and in a log of at least two leaves, and hold the key that opens `in`.
 */
export function forgeries(receiptText: string, bodies: ForgedBodies): readonly Forgery[] {
  const receipt = parse(receiptText);
  const changes: Changes = {
    ...entryChanges,
    ...pathChanges,
    ...indexChanges,
    ...noteChanges,
    ...encodingChanges(receipt),
    ...roadChanges,
    ...(receipt.attempts.length > 1 ? severalChanges : {}),
  };
  return [
    ...changed(receiptText, changes, 1),
    ...changed(receiptText, harmlessChanges, 0),
    ...textForgeries(receiptText),
    ...bodyForgeries(receiptText, bodies),
  ];
}

const entryChanges: Changes = {
  'bit flip in the decision entry': (_, { decision }) => flipEntry(decision),
  'bit flip in the outcome entry': (_, { outcome }) => flipEntry(outcome),
  'space added to an entry': (_, { decision }) => {
    decision.entry = reencode(decision.entry, (bytes) => Buffer.concat([bytes, Buffer.from(' ')]));
  },
  'inner node as entry': (_, { decision }) => {
    const own = Buffer.from(hashLeaf(Buffer.from(decision.entry, 'base64')));
    const sibling = Buffer.from(decision.path[0] ?? '', 'base64');
    const right = Number(decision.index) % 2 === 1;
    decision.entry = Buffer.concat(right ? [sibling, own] : [own, sibling]).toString('base64');
    decision.index = Math.floor(Number(decision.index) / 2);
    decision.path.shift();
  },
};

const pathChanges: Changes = {
  'bit flip in a path': (_, { decision }) => changePath(decision, 0, flipped),
  'path cut short': (_, { decision }) => void decision.path.pop(),
  'path too long': (_, { decision }) => void decision.path.push(decision.path[0] ?? ''),
  'path of 65 hashes': (_, { decision }) => {
    decision.path = Array.from({ length: 65 }, () => decision.path[0] ?? '');
  },
  'path hash of 31 bytes': (_, { decision }) => changePath(decision, 0, (bytes) => bytes.subarray(1)),
  'path hash of 33 bytes': (_, { decision }) =>
    changePath(decision, 0, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
  'path absent': (_, { decision }) => void Reflect.deleteProperty(decision, 'path'),
};

const indexChanges: Changes = {
  'decision index off by one': (_, { decision }) => void (decision.index = Number(decision.index) + 1),
  'outcome index off by one': (_, { outcome }) => void (outcome.index = Number(outcome.index) + 1),
  'index beyond the tree': (_, { outcome }) => void (outcome.index = Number.MAX_SAFE_INTEGER),
  'index as a string': (_, { decision }) => void (decision.index = String(decision.index)),
  'index negative': (_, { decision }) => void (decision.index = -1 - Number(decision.index)),
  'index absent': (_, { outcome }) => void Reflect.deleteProperty(outcome, 'index'),
};

const noteChanges: Changes = {
  'checkpoint absent': (receipt) => void Reflect.deleteProperty(receipt, 'checkpoint'),
  'bit flip in the root': (receipt) => changeNote(receipt, 2, (line) => reencode(line, flipped)),
  'tree size changed': (receipt) => changeNote(receipt, 1, (line) => `${line}0`),
  'tree size with a plus': (receipt) => changeNote(receipt, 1, (line) => `+${line}`),
  'checkpoint of another origin': (receipt) => changeNote(receipt, 0, (line) => `${line}0`),
  'bit flip in the signature': (receipt) =>
    changeSignature(receipt, (bytes) =>
      Buffer.concat([bytes.subarray(0, -40), flipped(bytes.subarray(-40))]),
    ),
  'signature with S + L': (receipt) => changeSignature(receipt, malleable),
  'signature of another key id': (receipt) => changeSignature(receipt, flipped),
  'one good and one failing signature': (receipt) => {
    const good = receipt.checkpoint ?? '';
    changeSignature(receipt, malleable);
    receipt.checkpoint = good + (receipt.checkpoint ?? '').slice(good.lastIndexOf('\n\n') + 2);
  },
  'signature under a longer name': (receipt) => replaceNote(receipt, '\n\u2014 ', '\n\u2014 x'),
  'note unsigned': (receipt) => cutNote(receipt, (note) => note.slice(0, note.lastIndexOf('\n\n') + 2)),
  'note without its final newline': (receipt) => cutNote(receipt, (note) => note.slice(0, -1)),
  'text after the signatures': (receipt) => cutNote(receipt, (note) => `${note}x\n`),
  'blank line after the signatures': (receipt) => cutNote(receipt, (note) => `${note}\n`),
  'line before the note': (receipt) => cutNote(receipt, (note) => `x\n${note}`),
  'note with CRLF': (receipt) => cutNote(receipt, (note) => note.replaceAll('\n', '\r\n')),
  'signature line with a hyphen': (receipt) => replaceNote(receipt, '\n\u2014 ', '\n- '),
  'lone surrogate in the note': (receipt) => cutNote(receipt, (note) => note.replace('\n', '\ud800\n')),
};

function encodingChanges(receipt: Receipt): Changes {
  const open: Changes = {
    'opening key of 31 bytes': ({ open = {} }) =>
      void (open['in'] = reencode(open['in'] ?? '', (bytes) => bytes.subarray(1))),
    'opening key of 33 bytes': ({ open = {} }) =>
      void (open['in'] = reencode(open['in'] ?? '', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))),
    'opening key of no bytes': ({ open = {} }) => void (open['in'] = ''),
    'text after the padding of an opening key': ({ open = {} }) => void (open['in'] += 'AAAA'),
    'opening keys null': (receipt) => void Reflect.set(receipt, 'open', null),
  };
  return {
    'white space in an entry': (_, { decision }) =>
      void (decision.entry = `${decision.entry.slice(0, 8)} ${decision.entry.slice(8)}`),
    'path hash without padding': (_, { decision }) =>
      void (decision.path[0] = (decision.path[0] ?? '').replace('=', '')),
    'path hash with spare bits set': (_, { decision }) =>
      void (decision.path[0] = spareBitsSet(decision.path[0] ?? '')),
    'path hash in the URL alphabet': (_, { decision }) =>
      void (decision.path[0] = `-_${(decision.path[0] ?? '').slice(2)}`),
    'id of another syntax': (receipt) => void (receipt.id = receipt.id.toUpperCase()),
    'id of another request': (receipt) =>
      void (receipt.id = receipt.id.slice(0, -1) + (receipt.id.endsWith('0') ? '1' : '0')),
    'origin of another log': (receipt) => void (receipt.origin += '0'),
    ...(receipt.open === undefined ? {} : open),
  };
}

const roadChanges: Changes = {
  'no attempts': (receipt) => void (receipt.attempts = []),
  'attempts not an array': (receipt) => void Reflect.set(receipt, 'attempts', {}),
  'decision and outcome swapped': (receipt, { decision, outcome }) =>
    void (receipt.attempts[0] = { decision: outcome, outcome: decision }),
  'the decision given as outcome too': ({ attempts }, { decision }) =>
    void (attempts[0] = { decision, outcome: decision }),
  'decision null': ({ attempts }, { outcome }) => void (attempts[0] = { decision: null, outcome }),
  'outcome absent': ({ attempts }, { decision }) => void (attempts[0] = { decision }),
  'the same attempt twice': ({ attempts }) => void attempts.push(...attempts.slice(-1)),
};

const severalChanges: Changes = {
  'attempts reordered': ({ attempts }) => void attempts.reverse(),
  'first attempt dropped': ({ attempts }) => void attempts.shift(),
  'outcomes of two attempts swapped': ({ attempts: [one, two] }) => {
    if (one === undefined || two === undefined) return;
    [one.outcome, two.outcome] = [two.outcome ?? null, one.outcome ?? null];
  },
};

const harmlessChanges: Changes = {
  unchanged: () => {},
  'level and state absent': (receipt) => {
    Reflect.deleteProperty(receipt, 'level');
    Reflect.deleteProperty(receipt, 'state');
  },
  'level claimed higher': (receipt) => void (receipt['level'] = 'anchored'),
  'unknown members': (receipt, { decision }) => {
    receipt['future'] = { v: 9, list: [1.5, null] };
    decision['future'] = true;
  },
  'signature line of an unknown key': (receipt) =>
    cutNote(receipt, (note) => `${note}\u2014 unknown.example AAAAAAAA\n`),
  'last outcome dropped': ({ attempts }) => {
    const last = attempts.at(-1);
    if (last !== undefined) last.outcome = null;
  },
  'without opening keys': (receipt) => void Reflect.deleteProperty(receipt, 'open'),
};

function textForgeries(text: string): readonly Forgery[] {
  const first = /"index":\s*(\d+)/;
  return [
    { name: 'index written as a fraction', text: text.replace(first, '"index":$1.0'), exit: 1 },
    { name: 'index written with an exponent', text: text.replace(first, '"index":$1e0'), exit: 1 },
    { name: 'duplicate member', text: text.replace('{', '{"level":"logged",'), exit: 1 },
    { name: 'duplicate member, one escaped', text: text.replace('{', '{"\\u006fpen":{},'), exit: 1 },
    { name: 'duplicate member in a proof', text: text.replace(first, '"index":$1,"index":$1'), exit: 1 },
    { name: 'duplicate in an unknown member', text: text.replace('{', '{"x":[{"y":1,"y":1}],'), exit: 1 },
    { name: 'attempts twice', text: text.replace('{', '{"attempts":[],'), exit: 1 },
    {
      name: 'member named __proto__',
      text: text.replace('{', '{"__proto__":{"v":9,"attempts":[]},'),
      exit: 0,
    },
    { name: 'empty', text: '', exit: 2 },
    { name: 'not JSON', text: 'receipt', exit: 2 },
    { name: 'cut short', text: text.slice(0, text.length / 2), exit: 2 },
    { name: 'a second value', text: `${text}{}`, exit: 2 },
    { name: 'an array', text: `[${text}]`, exit: 2 },
    { name: 'with a BOM', text: `\ufeff${text}`, exit: 2 },
    { name: 'of version 2', text: text.replace(/"v":\s*1/, '"v":2'), exit: 2 },
    { name: 'nested too deep', text: text.replace('{', `{"x":${'['.repeat(64)}${']'.repeat(64)},`), exit: 2 },
  ];
}

function bodyForgeries(text: string, { request, response }: ForgedBodies): readonly Forgery[] {
  const longer = Buffer.concat([request, Buffer.from('\n')]);
  const keyless = edited(text, (receipt) => void Reflect.deleteProperty(receipt, 'open'));
  const other = edited(text, ({ open = {} }) => {
    open['in'] = reencode(open['in'] ?? '', flipped);
  });
  const forgeries: Forgery[] = [
    { name: 'the right request', text, request, exit: 0 },
    { name: 'a request one newline longer', text, request: longer, exit: 1 },
    { name: 'an empty request', text, request: new Uint8Array(), exit: 1 },
    { name: 'opening key of another request', text: other, request, exit: 1 },
    { name: 'a request and no opening key', text: keyless, request, exit: 2 },
  ];
  if (response === null) return forgeries;
  return [
    ...forgeries,
    { name: 'the right response', text, response, exit: 0 },
    { name: 'a response cut short', text, response: response.subarray(0, -1), exit: 1 },
    { name: 'bodies swapped', text, request: response, response: request, exit: 1 },
    { name: 'a response and no opening key', text: keyless, response, exit: 2 },
  ];
}

function changed(text: string, changes: Changes, exit: 0 | 1 | 2): readonly Forgery[] {
  return Object.entries(changes).map(([name, change]) => ({ name, text: edited(text, change), exit }));
}

function edited(text: string, change: Change): string {
  const receipt = parse(text);
  const [attempt] = receipt.attempts;
  if (!attempt?.decision || !attempt.outcome) throw new TypeError('expected a first attempt with an outcome');
  change(receipt, { decision: attempt.decision, outcome: attempt.outcome });
  return JSON.stringify(receipt);
}

function parse(text: string): Receipt {
  // The receipt is valid, as `forgeries` asks, so it has these members.
  return JSON.parse(text) as Receipt;
}

function flipEntry(leaf: Leaf): void {
  leaf.entry = reencode(leaf.entry, flipped);
}

function changePath(leaf: Leaf, at: number, change: (bytes: Buffer) => Buffer): void {
  leaf.path[at] = reencode(leaf.path[at] ?? '', change);
}

function reencode(text: string, change: (bytes: Buffer) => Buffer): string {
  return change(Buffer.from(text, 'base64')).toString('base64');
}

function flipped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte)));
}

// 32 bytes end in a digit with two spare bits.
function spareBitsSet(text: string): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const last = text.charAt(text.length - 2);
  return `${text.slice(0, -2)}${digits.charAt(digits.indexOf(last) + 1)}=`;
}

function cutNote(receipt: Receipt, change: (note: string) => string): void {
  receipt.checkpoint = change(receipt.checkpoint ?? '');
}

function replaceNote(receipt: Receipt, from: string, to: string): void {
  cutNote(receipt, (note) => note.replace(from, to));
}

function changeNote(receipt: Receipt, line: number, change: (line: string) => string): void {
  cutNote(receipt, (note) =>
    note
      .split('\n')
      .map((text, i) => (i === line ? change(text) : text))
      .join('\n'),
  );
}

function changeSignature(receipt: Receipt, change: (bytes: Buffer) => Buffer): void {
  cutNote(receipt, (note) =>
    note.replace(
      /(\n\n\u2014 \S+ )(\S+)/,
      (_, before: string, text: string) => before + reencode(text, change),
    ),
  );
}

// RFC 8032 section 5.1.7: a verifier that does not bound S takes S + L for the same signature.
function malleable(bytes: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const scalar = BigInt(`0x${Buffer.from(bytes.subarray(-32)).reverse().toString('hex')}`) + order;
  const changed = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse();
  return Buffer.concat([bytes.subarray(0, -32), changed]);
}
