import type { Source } from './source.ts';
import { calleeName, lineOf, walk } from './source.ts';

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 80;
/** A test tells its whole story in one place. */
const MAX_TEST_FUNCTION_LINES = 120;
const VAGUE_NAME = /(?:^|[/-])(?:utils?|helpers?|common|misc)(?:\.test)?\.ts$/;
const KEBAB = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.long)?(?:\.test)?\.ts$/;

const TEST_FUNCTIONS = new Set(['test', 'it', 'describe', 'suite', 't']);
const NOT_RUN = new Set(['skip', 'only', 'todo']);

// Built from pieces, so that this file does not hold what it forbids.
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [new RegExp(['/wo', 'rk/'].join(''), 'i'), 'a path of the machine it was written on'],
  [new RegExp(['/tmp/', 'briefs'].join(''), 'i'), 'a path of the machine it was written on'],
  [
    new RegExp(['\\bshared/', '(?:reference|prototypes|data|design|interface)'].join('')),
    'a path of elsewhere',
  ],
  [
    new RegExp(
      ['registry\\.npm', 'js|pypi\\.', 'org|files\\.python', 'hosted|proxy\\.go', 'lang'].join(''),
      'i',
    ),
    "a package registry's host",
  ],
  [/\p{Emoji_Presentation}/u, 'an emoji'],
];

/** What the type system was told instead of shown, in one file. */
export interface CastCount {
  readonly lines: number;
  readonly casts: number;
}

/** The violations of the norms in one file, one line each: `file:line what is wrong`. */
export function normViolations(source: Source): readonly string[] {
  return [
    ...nameProblems(source.file),
    ...sizeProblems(source),
    ...functionProblems(source),
    ...typeProblems(source),
    ...notRunProblems(source),
    ...wordProblems(source.file, source.text),
  ];
}

/** Words that no file of the repository may hold. */
export function wordProblems(file: string, text: string): readonly string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      FORBIDDEN.filter(([pattern]) => pattern.test(line)).map(
        ([, what]) => `${file}:${index + 1} names ${what}`,
      ),
    );
}

/** The documents that comments of the file name, each with its line. */
export function namedDocuments(source: Source): readonly { readonly name: string; readonly line: number }[] {
  return source.comments.flatMap((comment) =>
    [...comment.value.matchAll(/[\w./-]+\.md\b/g)].map(([name]) => {
      return { name, line: lineOf(source, comment.start) };
    }),
  );
}

/** Counts `as` other than `as const`. */
export function countCasts(source: Source): CastCount {
  let casts = 0;
  walk(source, {
    TSAsExpression: (node) => {
      if (!isConst(node.typeAnnotation)) casts += 1;
    },
  });
  return { lines: source.text.split('\n').length - 1, casts };
}

function nameProblems(file: string): readonly string[] {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const problems: string[] = [];
  if (VAGUE_NAME.test(file)) problems.push(`${file}:1 is named for nothing it holds`);
  if (!KEBAB.test(name)) problems.push(`${file}:1 is not named in kebab-case`);
  return problems;
}

function sizeProblems({ file, text }: Source): readonly string[] {
  const lines = text.split('\n').length - 1;
  return lines > MAX_FILE_LINES ? [`${file}:1 has ${lines} lines, more than ${MAX_FILE_LINES}`] : [];
}

function functionProblems(source: Source): readonly string[] {
  const problems: string[] = [];
  const most = isTest(source.file) ? MAX_TEST_FUNCTION_LINES : MAX_FUNCTION_LINES;
  const check = (node: { readonly start: number; readonly end: number }): void => {
    const first = lineOf(source, node.start);
    const lines = lineOf(source, node.end) - first + 1;
    if (lines > most)
      problems.push(`${source.file}:${first} a function of ${lines} lines, more than ${most}`);
  };
  walk(source, { FunctionDeclaration: check, FunctionExpression: check, ArrowFunctionExpression: check });
  return problems;
}

function typeProblems(source: Source): readonly string[] {
  const problems: string[] = [];
  const add = (offset: number, what: string): void => {
    problems.push(`${source.file}:${lineOf(source, offset)} ${what}`);
  };
  walk(source, {
    TSAnyKeyword: (node) => add(node.start, 'any'),
    TSNonNullExpression: (node) => add(node.start, 'a non-null assertion'),
    TSTypeAssertion: (node) => add(node.start, 'a cast in angle brackets'),
    TSAsExpression: (node) => {
      if (isConst(node.typeAnnotation)) return;
      if (node.expression.type === 'TSAsExpression') add(node.start, 'a cast of a cast');
      if (!isTest(source.file) && !hasReason(source, node.start, node.end))
        add(node.start, 'a cast without a reason');
    },
  });
  return problems;
}

// The reason stands on the cast's own lines or directly above them.
function hasReason(source: Source, start: number, end: number): boolean {
  const first = lineOf(source, start) - 1;
  const last = lineOf(source, end);
  return source.comments.some((comment) => {
    const line = lineOf(source, comment.end);
    return line >= first && line <= last;
  });
}

function notRunProblems(source: Source): readonly string[] {
  if (!isTest(source.file)) return [];
  const problems: string[] = [];
  const add = (offset: number, what: string): void => {
    problems.push(`${source.file}:${lineOf(source, offset)} ${what}: every test runs`);
  };
  walk(source, {
    MemberExpression: (node) => {
      if (TEST_FUNCTIONS.has(calleeName(node.object)) && NOT_RUN.has(calleeName(node)))
        add(node.start, `${calleeName(node.object)}.${calleeName(node)}`);
    },
    CallExpression: (node) => {
      if (!TEST_FUNCTIONS.has(calleeName(node.callee))) return;
      for (const argument of node.arguments) {
        if (argument.type !== 'ObjectExpression') continue;
        for (const member of argument.properties)
          if (member.type === 'Property' && NOT_RUN.has(calleeName(member.key)))
            add(member.start, `a test with ${calleeName(member.key)}`);
      }
    },
  });
  return problems;
}

function isConst(node: { readonly type: string }): boolean {
  return node.type === 'TSTypeReference' && 'typeName' in node && nameOf(node.typeName) === 'const';
}

function nameOf(node: unknown): string {
  return typeof node === 'object' && node !== null && 'name' in node && typeof node.name === 'string'
    ? node.name
    : '';
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.startsWith('test/');
}
