import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { until } from './observe.ts';
import { runCli } from './cli.ts';
import type { SealedRoom } from './sealed-room.ts';
import { startSite, type Site } from './site.ts';

const LOADED_MS = 60_000;

/** One start of a site in the room, with what its commands need. */
export interface SealedSite {
  readonly site: Site;
  /** The public key of its log. */
  readonly vkey: string;
  /** The receipt's id of the question that showed the model to be there. */
  readonly receipt: string;
  /** Runs a command in the room, which must end with `code`; gives its standard output. */
  readonly run: (args: readonly string[], code?: number) => Promise<string>;
}

/** A site that is cut off by its own bundle too: this machine's model of random weights, and nothing else. */
const GOVERNANCE = {
  site: { posture: 'disconnected' },
  providers: [{ id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } }],
  models: { chat: { from: [{ endpoint: 'local/tiny', weight: 1 }] } },
} as const;

/** What the commands of one folder need of the environment. */
export function commandsIn(room: SealedRoom, root: string, env: Record<string, string>): SealedSite['run'] {
  return async (args, code = 0) => {
    const ran = await runCli(args, { cwd: root, env, inside: room.inside });
    assert.equal(ran.code, code, `sekisho ${args.join(' ')}: ${ran.out}${ran.err}`);
    return ran.out;
  };
}

/** Starts a site in the room, asks its model, and stops it after `work`; `root` keeps its data between the cycles. */
export async function cycle(
  room: SealedRoom,
  { root, models }: { readonly root: string; readonly models: string },
  work: (sealed: SealedSite) => Promise<void>,
): Promise<void> {
  const site = await startSite({ root, models, governance: GOVERNANCE, inside: room.inside });
  try {
    const env = {
      SEKISHO_URL: site.url,
      SEKISHO_KEY: site.adminKey,
      SEKISHO_DATA: site.data,
      SEKISHO_CONFIG: path.join(root, 'sekisho.yaml'),
      SEKISHO_MODELS: models,
    };
    const run = commandsIn(room, root, env);
    const receipt = await answered(run);
    await work({ site, vkey: logKeyInside(room, site), receipt, run });
  } finally {
    const exit = await site.stop({ keep: true });
    assert.deepEqual(exit, { code: 0, signal: null }, site.stderr());
  }
  assert.deepEqual(tripsOf(site), []);
}

/** What the site's tripwire caught, line by line. */
export function tripsOf(site: Site): readonly string[] {
  return site
    .stderr()
    .split('\n')
    .filter((line) => line.includes('"egress.tripwire"'));
}

/** The log's folder on disk. */
export function logFolder(data: string): string {
  const logs = path.join(data, 'ledger');
  const [log] = readdirSync(logs).filter((name) => /^[0-9a-f]{8}$/.test(name));
  assert.ok(log !== undefined, `${logs} holds a log`);
  return path.join(logs, log);
}

async function answered(run: SealedSite['run']): Promise<string> {
  let receipt = '';
  const asks = async (): Promise<boolean> => {
    const said = await run(['ask', 'Who passes here?', '--json']).catch((error: unknown) => {
      // The model may still be loading; any other failure is told when the time is over.
      receipt = String(error);
      return null;
    });
    if (said === null) return false;
    const answer = JSON.parse(said) as { receipt: string; complete: boolean };
    receipt = answer.receipt;
    return answer.complete;
  };
  await until(asks, 'the local model answers', LOADED_MS).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${receipt}`);
  });
  return receipt;
}

function logKeyInside({ inside }: SealedRoom, { url }: Site): string {
  const read = `fetch(${JSON.stringify(`${url}/ledger`)}).then((r) => r.json()).then(({ logs }) => console.log(logs[0].vkey))`;
  const [program = '', ...enter] = inside;
  return spawnSync(program, [...enter, process.execPath, '-e', read], { encoding: 'utf8' }).stdout.trim();
}
