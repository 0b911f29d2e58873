import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { countCasts, namedDocuments, normViolations, wordProblems } from './support/norms.ts';
import { parseSource, readSources, ROOT } from './support/source.ts';

const CODE = ['src', 'test', 'scripts', 'bench'];
const MAX_CASTS_PER_KLOC = 3;
// Lock files name hosts only when asked to, and licences and fixtures are the words of others.
const WORDS_OF_OTHERS = /^(?:fixtures\/|LICENSE$|package-lock\.json$)/;
const TEXT = /(?:\.(?:c?[jt]s|json|md|ya?ml|cedar|cedarschema|go|mod|py|sh|svelte|html|css)|\/run)$/;

test('every source file keeps the norms', async () => {
  const sources = await readSources(CODE);
  assert.ok(sources.length > 0);
  assert.deepEqual(sources.flatMap(normViolations), []);
});

test('no file of the repository speaks of where it was made', () => {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
  })
    .toString()
    .split('\0')
    .filter((file) => TEXT.test(file) && !WORDS_OF_OTHERS.test(file))
    .filter((file) => existsSync(path.join(ROOT, file)) && statSync(path.join(ROOT, file)).isFile());
  assert.ok(files.length > 0);
  assert.deepEqual(
    files.flatMap((file) => wordProblems(file, readFileSync(path.join(ROOT, file), 'utf8'))),
    [],
  );
});

test('casts stay within their budget', async (t) => {
  const counts = (await readSources(['src']))
    .filter(({ file }) => !file.endsWith('.test.ts'))
    .map(countCasts);
  const casts = counts.reduce((sum, count) => sum + count.casts, 0);
  const lines = counts.reduce((sum, count) => sum + count.lines, 0);
  const rate = (casts * 1000) / lines;
  t.diagnostic(`${casts} casts in ${lines} lines of src: ${rate.toFixed(2)} per 1000 lines`);
  assert.ok(rate <= MAX_CASTS_PER_KLOC, `${rate} casts per 1000 lines, more than ${MAX_CASTS_PER_KLOC}`);
});

test('a document that a comment names is in the repository', async () => {
  const missing: string[] = [];
  for (const source of await readSources(['src', 'scripts', 'bench']))
    for (const { name, line } of namedDocuments(source))
      if (!existsSync(path.join(ROOT, name)) && !existsSync(path.join(ROOT, path.dirname(source.file), name)))
        missing.push(`${source.file}:${line} ${name}`);
  assert.deepEqual(missing, []);
});

test('docs/dependencies.md gives every direct dependency its reason', () => {
  const manifest: unknown = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const lines = readFileSync(path.join(ROOT, 'docs', 'dependencies.md'), 'utf8').split('\n');
  const unexplained = dependencyNames(manifest).filter(
    (name) => !lines.some((line) => line.includes(`\`${name}\``) && /[a-z] [^.]+\./.test(line)),
  );
  assert.deepEqual(unexplained, []);
});

const PLANTED: readonly (readonly [what: string, file: string, text: string, found: RegExp])[] = [
  ['a file of 401 lines', 'src/core/a.ts', '// x\n'.repeat(401), /401 lines/],
  [
    'a function of 81 lines',
    'src/core/a.ts',
    `export function f() {\n${'f();\n'.repeat(79)}}`,
    /function of 81/,
  ],
  [
    'a test of 121 lines',
    'src/core/a.test.ts',
    `function f() {\n${'f();\n'.repeat(119)}}`,
    /function of 121/,
  ],
  ['a long method', 'src/core/a.ts', `class A { m() {\n${'f();\n'.repeat(79)}} }`, /function of 81/],
  ['a long arrow function', 'src/core/a.ts', `const f = () => {\n${'f();\n'.repeat(79)}}`, /function of 81/],
  ['any', 'src/core/a.ts', 'export let x: any;', /:1 any/],
  ['any in a test', 'test/a.test.ts', 'export let x: any;', /:1 any/],
  ['a cast to any', 'src/core/a.ts', 'f(x as any);', /:1 any/],
  ['a double cast', 'src/core/a.ts', '// because\nf(x as unknown as Y);', /cast of a cast/],
  ['a cast without a reason', 'src/core/a.ts', 'f();\n\nf(x as Y);', /:3 a cast without a reason/],
  ['a non-null assertion', 'src/core/a.ts', 'f(x!);', /non-null/],
  ['a vague name', 'src/core/utils.ts', '', /named for nothing/],
  ['a vague compound name', 'src/core/string-helpers.ts', '', /named for nothing/],
  ['a name in camel case', 'src/core/tileStore.ts', '', /kebab-case/],
  ['a skipped test', 'src/core/a.test.ts', "test.skip('x', () => {});", /test\.skip/],
  ['an only test', 'src/core/a.test.ts', "describe.only('x', () => {});", /describe\.only/],
  ['a test that skips itself', 'src/core/a.test.ts', "test('x', (t) => t.skip());", /t\.skip/],
  [
    'a test with a skip option',
    'src/core/a.test.ts',
    "test('x', { skip: true }, () => {});",
    /a test with skip/,
  ],
  ['a todo', 'src/core/a.test.ts', "it.todo('x');", /it\.todo/],
  ['an emoji', 'src/core/a.ts', '// \u{1F680}', /emoji/],
  [
    'a path of elsewhere',
    'src/core/a.ts',
    `// see ${['', 'work', 'notes'].join('/')}`,
    /path of the machine/,
  ],
  ['a registry', 'src/core/a.ts', `// ${['https://pypi', 'org'].join('.')}`, /registry/],
];

for (const [what, file, text, found] of PLANTED)
  test(`catches ${what}`, () => {
    assert.match(normViolations(parseSource(file, text)).join('\n'), found);
  });

test('accepts a reasoned cast, as const and a function of 80 lines', () => {
  const text = `const a = [1] as const;\n// x is a Y: f checked it\nf(x as Y);\nfunction f() {\n${'f();\n'.repeat(78)}}\n`;
  const source = parseSource('src/core/a.ts', text);
  assert.deepEqual(normViolations(source), []);
  assert.equal(countCasts(source).casts, 1);
});

test('finds the documents that a comment names', () => {
  const source = parseSource('src/core/a.ts', '/** Described in docs/ledger.md. */\n// see nothing.md\n');
  assert.deepEqual(namedDocuments(source), [
    { name: 'docs/ledger.md', line: 1 },
    { name: 'nothing.md', line: 2 },
  ]);
});

function dependencyNames(manifest: unknown): readonly string[] {
  assert.ok(typeof manifest === 'object' && manifest !== null);
  const names: string[] = [];
  for (const [group, listed] of Object.entries(manifest))
    if (/^(?:d|devD|optionalD)ependencies$/.test(group) && typeof listed === 'object' && listed !== null)
      names.push(...Object.keys(listed));
  assert.ok(names.length > 0);
  return names;
}
