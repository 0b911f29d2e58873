import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { testFiles } from '../scripts/suite.ts';
import { anchors, relativeLinks, shapeOf, testCommands } from './support/documents.ts';
import type { Document } from './support/documents.ts';
import { ROOT } from './support/source.ts';

const documents = readDocuments();

test('every relative link of every document leads to a file, and its fragment to a heading', () => {
  assert.ok(documents.length > 5);
  assert.deepEqual(documents.flatMap(brokenLinks), []);
});

test('every test command of every document names at least one test file', async () => {
  const missing = await Promise.all(documents.map(commandsWithoutTests));
  assert.deepEqual(missing.flat(), []);
});

test('the two READMEs have the same headings, blocks, links and commands', () => {
  const [english, japanese] = ['README.md', 'README.ja.md'].map((file) =>
    documents.find((document) => document.file === file),
  );
  assert.ok(english !== undefined && japanese !== undefined);
  assert.ok(shapeOf(english).commands.length > 0);
  assert.deepEqual(shapeOf(japanese), shapeOf(english));
});

const PLANTED: readonly (readonly [what: string, text: string, found: string | null])[] = [
  ['a file that is not there', 'see [this](docs/nothing.md)', 'planted.md:1 docs/nothing.md'],
  ['a file beside it that is not there', '\n[x](./nothing)', 'planted.md:2 nothing'],
  ['a heading that is not there', '[x](docs/ledger.md#nowhere)', 'planted.md:1 docs/ledger.md#nowhere'],
  ['a heading of its own that is not there', '# Here\n[x](#there)', 'planted.md:2 planted.md#there'],
  ['nothing in a link that is right', '[x](docs/ledger.md#refusals-to-start) and [y](docs/)', null],
  ['nothing in links that lead elsewhere', '[x](https://c2sp.org) [y](mailto:a@b.example)', null],
  ['nothing in code', '`[x](nothing)`\n```text\n[x](nothing)\n```', null],
];

for (const [what, text, found] of PLANTED)
  test(`finds ${what}`, () => {
    assert.deepEqual(brokenLinks({ file: 'planted.md', text }), found === null ? [] : [found]);
  });

test('finds a command that names no test', async () => {
  const text = '`npm test -- road` and\n```sh\nnpm test -- no-such-test\n```';
  assert.deepEqual(await commandsWithoutTests({ file: 'planted.md', text }), ['planted.md no-such-test']);
});

test('finds a translation that lacks a heading, a block, a link or a command', () => {
  const whole = '# A\n## B\n[x](LICENSE)\n```sh\nnpm test -- road\n```\n';
  const file = 'README.md';
  for (const part of ['## B\n', '[x](LICENSE)', '```sh\nnpm test -- road\n```\n', ' -- road'])
    assert.notDeepEqual(
      shapeOf({ file, text: whole.replace(part, '') }),
      shapeOf({ file, text: whole }),
      part,
    );
});

function readDocuments(): readonly Document[] {
  const files = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'],
    {
      cwd: ROOT,
    },
  );
  return files
    .toString()
    .split('\0')
    .filter((file) => file !== '' && existsSync(path.join(ROOT, file)))
    .map((file) => ({ file, text: readFileSync(path.join(ROOT, file), 'utf8') }));
}

function brokenLinks(document: Document): readonly string[] {
  return relativeLinks(document).flatMap(({ line, target, fragment }) => {
    const at = path.join(ROOT, target);
    const text = target === document.file ? document.text : null;
    const found =
      text !== null || existsSync(at)
        ? fragment === '' || anchors(text ?? readFileSync(at, 'utf8')).has(fragment)
        : false;
    return found ? [] : [`${document.file}:${line} ${target}${fragment === '' ? '' : `#${fragment}`}`];
  });
}

async function commandsWithoutTests({ file, text }: Document): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const { name, long } of testCommands(text)) {
    const files = await testFiles(ROOT, { long, only: [name] });
    if (files.length === 0) lost.push(`${file} ${name}`);
  }
  return lost;
}
