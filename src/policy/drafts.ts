import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { nearest } from '../core/nearest.ts';
import { splitPolicies } from './cedar-source.ts';
import { modelsDraft, providerDraft, siteDraft, testsDraft } from './draft-schema.ts';
import { draftFault, parseStrict, parseYaml } from './strict-parse.ts';
import type { Drafts, PolicyTest } from './types.ts';
import { PACKS_URL } from './vocabulary.ts';

const MAX_FILE_BYTES = 256 * 1024;
const MAX_FILES = 512;
const FOLDERS = ['providers', 'policies', 'tests'] as const;
const FILES = ['site.yaml', 'models.yaml'] as const;
const NOTES = /^(\.|README(\.[a-z-]+)*$)/i;

/** The built-in example: this machine's own small model and nothing else. */
export const EXAMPLE_GOVERNANCE: string = fileURLToPath(
  new URL('../../examples/demo/governance/', import.meta.url),
);

/**
 * Reads the drafts of a governance folder; packs come from the program.
 * @throws Fault kind `invalid` code `policy.draft` or `policy.invalid` naming file, key and problem.
 */
export async function loadDrafts(folder: string): Promise<Drafts> {
  await checkEntries(folder);
  const { signers, purposes, ...site } = parseStrict(siteDraft, await yaml(folder, 'site.yaml'), 'site.yaml');
  const packs = new Map<string, { policies: Record<string, string> }>();
  for (const name of site.packs) packs.set(name, { policies: await loadPack(name) });
  return {
    site,
    signers,
    purposes,
    providers: await each(folder, 'providers', async (file) =>
      parseStrict(providerDraft, await yaml(folder, file), file),
    ),
    models: parseStrict(modelsDraft, await yaml(folder, 'models.yaml'), 'models.yaml'),
    policies: await loadPolicies(join(folder, 'policies')),
    packs: Object.fromEntries(packs),
    tests: (await each(folder, 'tests', (file) => loadTests(folder, file))).flat(),
  };
}

async function loadTests(folder: string, file: string): Promise<PolicyTest[]> {
  return parseStrict(testsDraft, await yaml(folder, file), file);
}

/**
 * The policies of a pack that comes with the program, by id.
 * @throws Fault kind `invalid` code `policy.draft` when there is none of that name.
 */
export async function loadPack(name: string): Promise<Record<string, string>> {
  const shipped = await readdir(PACKS_URL);
  if (!shipped.includes(name)) {
    const meant = nearest(name, shipped);
    const hint = meant === null ? `, there are: ${shipped.join(', ')}` : `, did you mean "${meant}"?`;
    throw draftFault('site.yaml', [`packs: no pack "${name}"${hint}`]);
  }
  return loadPolicies(fileURLToPath(new URL(`${name}/`, PACKS_URL)));
}

async function loadPolicies(folder: string): Promise<Record<string, string>> {
  const policies = new Map<string, string>();
  for (const file of await list(folder, '.cedar')) {
    const split = splitPolicies(await readText(folder, file), file.slice(0, -'.cedar'.length));
    for (const [id, text] of split) {
      if (policies.has(id)) throw draftFault(file, [`the policy "${id}" is also in another file`]);
      policies.set(id, text);
    }
  }
  return Object.fromEntries(policies);
}

// A misspelt folder would otherwise take its rules out of force without a word.
async function checkEntries(folder: string): Promise<void> {
  const known: readonly string[] = [...FOLDERS, ...FILES];
  for (const entry of await entries(folder)) {
    if (known.includes(entry) || NOTES.test(entry)) continue;
    // The names are few and far from each other: the singular stands for the plural.
    const meant = nearest(entry, known, 3);
    const hint = meant === null ? `, there are: ${known.join(', ')}` : `, did you mean "${meant}"?`;
    throw draftFault(folder, [`unknown entry "${entry}"${hint}`]);
  }
}

async function each<T>(folder: string, name: string, load: (file: string) => Promise<T>): Promise<T[]> {
  const loaded: T[] = [];
  for (const file of await list(join(folder, name), '.yaml')) loaded.push(await load(join(name, file)));
  return loaded;
}

async function list(folder: string, ending: string): Promise<string[]> {
  const names = (await entries(folder)).filter((name) => !NOTES.test(name));
  if (names.length > MAX_FILES) throw draftFault(folder, [`expected at most ${MAX_FILES} files`]);
  const unread = names.find((name) => !name.endsWith(ending) && name !== 'schema.cedarschema');
  if (unread !== undefined)
    throw draftFault(folder, [`"${unread}" is not read here, expected names in ${ending}`]);
  return names.filter((name) => name.endsWith(ending)).sort();
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (missing(cause) && FOLDERS.some((name) => folder.endsWith(name))) return [];
    throw draftFault(folder, ['expected a readable folder'], cause);
  }
}

async function yaml(folder: string, file: string): Promise<unknown> {
  return parseYaml(await readText(folder, file), file);
}

async function readText(folder: string, file: string): Promise<string> {
  const path = join(folder, file);
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES)
      throw draftFault(file, [`expected at most ${MAX_FILE_BYTES} bytes, found ${size}`]);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    if (missing(cause)) throw draftFault(path, ['no such file'], cause);
    if (cause instanceof TypeError) throw draftFault(path, ['expected UTF-8 text'], cause);
    throw cause;
  }
}

function missing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}
