import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { Fault, toFault } from '../core/fault.ts';
import { providerProblems } from '../policy/bundle-check.ts';
import { providerDraft } from '../policy/draft-schema.ts';
import { parseStrict } from '../policy/strict-parse.ts';

const WHERE = 'provider';
const HEADER = `# A draft: it takes effect with the next bundle that is built, signed and applied.
# 下書き。次に組み立て、署名し、適用したバンドルから効く。
`;

/** What keeps a draft of a provider from being used, in one line; null when nothing does. */
export function providerProblem(draft: unknown): string | null {
  try {
    const problems = providerProblems(parseStrict(providerDraft, draft, WHERE));
    return problems.length === 0 ? null : problems.join('; ');
  } catch (thrown) {
    return toFault(thrown).message;
  }
}

/**
 * Writes the draft to `providers/ID.yaml` below `folder`, durably, and returns the file's path.
 * @throws Fault kind `invalid` code `server.provider_draft` when it cannot be used, `conflict` code
 * `server.provider_exists` when the file is there.
 */
export async function writeProviderDraft(folder: string, draft: unknown): Promise<string> {
  const problem = providerProblem(draft);
  if (problem !== null) throw new Fault('invalid', 'server.provider_draft', problem);
  // The schema allows no separators in an id, so the name stays inside the folder.
  const { id } = parseStrict(providerDraft, draft, WHERE);
  const providers = path.join(folder, 'providers');
  const file = path.join(providers, `${id}.yaml`);
  try {
    await mkdir(providers, { recursive: true });
    await using handle = await open(file, 'wx', 0o644);
    await handle.writeFile(HEADER + stringify(draft));
    await handle.sync();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')
      throw new Fault('conflict', 'server.provider_exists', `${file} is there already; edit or remove it`, {
        cause,
      });
    throw new Fault('unavailable', 'server.provider_unwritten', `${file} could not be written`, { cause });
  }
  return file;
}

/**
 * The digest under which a record names an evidence document.
 * @throws Fault kind `invalid` code `server.evidence` when the file cannot be read.
 */
export async function evidenceDigest(file: string): Promise<string> {
  try {
    return `sha256:${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}`;
  } catch (cause) {
    throw new Fault('invalid', 'server.evidence', `the evidence ${file} cannot be read`, { cause });
  }
}
