import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../core/fault.ts';

/** A word that occurs nowhere else; `at` names the place that it is put in. */
export interface Canary {
  readonly word: string;
  at(place: string): string;
}

export function newCanary(random: { bytes(length: number): Buffer }): Canary {
  const word = `CNRY-${random.bytes(12).toString('hex')}`;
  return { word, at: (place) => `${word}-${place}` };
}

/** The encodings in which a text holds the word; empty when it does not. */
export function encodingsOf(word: string, text: string): readonly string[] {
  return forms(word)
    .filter(([, form]) => text.includes(form))
    .map(([name]) => name);
}

const SCANS = 10;

/** `file (encoding)` for every file below the folder that holds the word. */
export async function filesWith(word: string, folder: string): Promise<readonly string[]> {
  for (let i = 0; i < SCANS; i++) {
    const found = await scan(word, folder);
    if (found !== null) return found;
  }
  throw new Fault(
    'unavailable',
    'leaktest.files',
    `the files below ${folder} change faster than they can be read`,
  );
}

// Null when a file went away meanwhile: under its new name it may have been passed over.
async function scan(word: string, folder: string): Promise<readonly string[] | null> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const text = await readFile(file, 'latin1').catch((error: unknown) => missing(error));
    if (text === null) return null;
    const encodings = encodingsOf(word, text);
    if (encodings.length > 0) found.push(`${path.relative(folder, file)} (${encodings.join(', ')})`);
  }
  return found;
}

function missing(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}

function forms(word: string): readonly (readonly [string, string])[] {
  return [
    ['plain', word],
    ['lower case', word.toLowerCase()],
    ['utf16', Buffer.from(word, 'utf16le').toString('latin1')],
    // In base64 a text has three forms, by its place; the outer characters depend on what stands beside it.
    ...[0, 1, 2].map((offset) => [`base64 at ${offset}`, insideBase64(word, offset)] as const),
  ];
}

function insideBase64(word: string, offset: number): string {
  const encoded = Buffer.from(`${'x'.repeat(offset)}${word}`).toString('base64');
  return encoded.slice(offset === 0 ? 0 : 4, Math.floor((offset + word.length) / 3) * 4);
}
