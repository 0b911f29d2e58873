import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import path from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Comment, Program, VisitorObject } from 'oxc-parser';

/** How a module names another one. `type` leaves nothing at run time; `computed` cannot be read from the text. */
export type ImportKind = 'value' | 'type' | 'computed';

export interface Import {
  readonly specifier: string;
  readonly kind: ImportKind;
  readonly line: number;
}

/** A parsed file; `file` is its path below the repository, with slashes. */
export interface Source {
  readonly file: string;
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
  /** The offset at which each line begins. */
  readonly lineStarts: readonly number[];
}

export const ROOT = path.join(import.meta.dirname, '..', '..');

/** Every TypeScript file below the named folders of the repository, parsed. */
export async function readSources(folders: readonly string[]): Promise<readonly Source[]> {
  const sources: Source[] = [];
  const patterns = folders.map((folder) => `${folder}/**/*.ts`);
  for await (const found of glob(patterns, { cwd: ROOT })) {
    const file = found.split(path.sep).join('/');
    sources.push(parseSource(file, readFileSync(path.join(ROOT, file), 'utf8')));
  }
  return sources.toSorted((a, b) => (a.file < b.file ? -1 : 1));
}

/** Parses one file; a syntax error throws, since a file that cannot be read cannot be judged. */
export function parseSource(file: string, text: string): Source {
  const { program, comments, errors } = parseSync(file, text, { lang: 'ts', sourceType: 'module' });
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`${file}: ${error.message}`);
  const lineStarts = [0, ...Array.from(text.matchAll(/\n/g), (found) => found.index + 1)];
  const source = { file, text, program, comments, lineStarts };
  return { ...source, imports: importsOf(source) };
}

/** Calls the visitor for every node of the file. */
export function walk(source: Pick<Source, 'program'>, visitor: VisitorObject): void {
  new Visitor(visitor).visit(source.program);
}

/** The line, counted from 1, of an offset in the file. */
export function lineOf({ lineStarts }: Pick<Source, 'lineStarts'>, offset: number): number {
  let [low, high] = [0, lineStarts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}

function importsOf(source: Omit<Source, 'imports'>): readonly Import[] {
  const imports: Import[] = [];
  const add = (specifier: unknown, kind: ImportKind, offset: number): void => {
    const line = lineOf(source, offset);
    if (typeof specifier === 'string') imports.push({ specifier, kind, line });
    else imports.push({ specifier: '', kind: 'computed', line });
  };
  const kindOf = (written: string | undefined): ImportKind => (written === 'type' ? 'type' : 'value');
  walk(source, {
    ImportDeclaration: (node) => add(node.source.value, kindOf(node.importKind), node.start),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source.value, kindOf(node.exportKind), node.start);
    },
    ExportAllDeclaration: (node) => add(node.source.value, kindOf(node.exportKind), node.start),
    ImportExpression: (node) => add(literal(node.source), 'value', node.start),
    TSImportType: (node) => add(node.source.value, 'type', node.start),
    TSExternalModuleReference: (node) => add(node.expression.value, 'value', node.start),
    CallExpression: (node) => {
      const name = calleeName(node.callee);
      if (name === 'require' || name === 'getBuiltinModule')
        add(literal(node.arguments[0]), 'value', node.start);
    },
    NewExpression: (node) => {
      const [target, base] = node.arguments;
      if (calleeName(node.callee) !== 'URL' || target === undefined || !isImportMeta(base)) return;
      const named = programName(target);
      if (named !== '') add(named, 'value', node.start);
    },
  });
  return imports;
}

// A worker or child is named by `new URL('./file.ts', import.meta.url)`, its ending perhaps that of this file. The
// answer is empty for a URL of something that is no program, and null for one that cannot be read from the text.
function programName(node: { readonly type: string }): string | null {
  const named = literal(node);
  if (typeof named === 'string') return /\.[jt]s$/.test(named) ? named.replace(/\.js$/, '.ts') : '';
  const [before, after] = 'quasis' in node && Array.isArray(node.quasis) ? node.quasis.map(quasiText) : [];
  return before !== undefined && after === '' && before.startsWith('.') ? `${before}.ts` : null;
}

function quasiText(part: unknown): string {
  if (!isRecord(part) || !isRecord(part['value'])) return '';
  return String(part['value']['raw']);
}

function isImportMeta(node: { readonly type: string } | undefined): boolean {
  return node !== undefined && 'object' in node && isNode(node.object) && node.object.type === 'MetaProperty';
}

/** The last name of `a`, `a.b` or `a.b.c`; empty for other callees. */
export function calleeName(node: { readonly type: string }): string {
  if ('name' in node && typeof node.name === 'string') return node.name;
  if ('property' in node && isNode(node.property)) return calleeName(node.property);
  return '';
}

function literal(node: { readonly type: string } | undefined): unknown {
  return node !== undefined && node.type === 'Literal' && 'value' in node ? node.value : null;
}

function isNode(value: unknown): value is { readonly type: string } {
  return isRecord(value) && typeof value['type'] === 'string';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
