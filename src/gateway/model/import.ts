import { copyFile, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Fault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';
import type { ArtifactEvent } from './pull.ts';
import { digestOf } from './store.ts';
import type { ModelStore, StoredModel } from './store.ts';

export interface ImportOptions {
  readonly store: ModelStore;
  readonly world: World;
  /** What the model is to be called. */
  readonly name: string;
  /** SPDX expression; null when nobody said. */
  readonly licence: string | null;
  readonly record: (event: ArtifactEvent) => Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const MAGIC = 'GGUF';

/**
 * Copies a GGUF file of this machine into the store.
 * @throws Fault `gateway.invalid_model` for a bad name and a file that is no GGUF, `gateway.model_unreadable`.
 */
export async function importModel(path: string, options: ImportOptions): Promise<StoredModel> {
  const { store, world, name, licence } = options;
  if (!NAME.test(name)) throw invalid('expected a name of at most 64 of a-z 0-9 . _ -');
  const bytes = await sizeOfGguf(path);
  const sha256 = await digestOf(path);
  const event = { name, digest: `sha256:${sha256}`, bytes, source: 'import' };
  const copy = await store.partial(sha256, '.import');
  await copyFile(path, copy);
  const file = basename(path);
  const facts = { name, file, bytes, sha256, licence, origin: 'import', source: 'import', toy: false };
  const adopted = await store.adopt(copy, { ...facts, stored: world.clock.now() });
  await options.record({ event: 'stored', ...event });
  return adopted;
}

async function sizeOfGguf(path: string): Promise<number> {
  const file = await open(path).catch((cause: unknown) => {
    throw new Fault('invalid', 'gateway.model_unreadable', `${path} cannot be read`, { cause });
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    if (bytesRead < MAGIC.length || buffer.toString('latin1') !== MAGIC) throw invalid('the file is no GGUF');
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

function invalid(message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_model', message);
}
