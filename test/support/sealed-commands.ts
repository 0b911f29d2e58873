import assert from 'node:assert/strict';
import path from 'node:path';
import { logFolder, type SealedSite } from './sealed-work.ts';

/** What a command is made to do in the sealed room, beside a running site and on the folder of one that stopped. */
export interface SealedCommand {
  readonly running?: (sealed: SealedSite) => Promise<void>;
  readonly stopped?: (sealed: SealedSite) => Promise<void>;
}

const PROVIDER = {
  kind: 'openai',
  url: 'https://ai.example/v1',
  model: 'm=c2',
  operator: 'Example K.K.',
  inference: 'JP',
  training: 'no',
  'retention-days': '0',
  posture: 'public',
  issued: '2026-12-01',
  expires: '2027-03-31',
  host: 'ai.example',
  address: '203.0.113.0/24',
  pin: [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`].join(','),
};

const inRoot = ({ site }: SealedSite, name: string): string => path.join(site.root, name);

/** Every command of the program, by its name; a command that is not here has never been seen in the room. */
export const SEALED_COMMANDS: Readonly<Record<string, SealedCommand>> = {
  up: {
    // The site of each cycle is `up` itself; beside it another one is refused.
    running: async ({ run, site }) => {
      assert.equal(await run(['up', '--port', String(site.port + 1)], 1), '');
    },
  },
  ask: {
    running: async ({ run }) => {
      assert.notEqual((await run(['ask', 'Once more?'])).trim(), '');
    },
  },
  receipt: {
    running: async (sealed) => {
      await sealed.run(['receipt', sealed.receipt, '--out', inRoot(sealed, 'receipt.json')]);
    },
  },
  verify: {
    stopped: async (sealed) => {
      const said = await sealed.run(['verify', inRoot(sealed, 'receipt.json'), '--key', sealed.vkey]);
      assert.match(said, /^valid\nlevel=logged state=closed/);
    },
  },
  ledger: {
    running: async ({ run, site, vkey }) => {
      const log = path.basename(logFolder(site.data));
      await run(['ledger', 'check', `${site.url}/ledger/${log}`, '--key', vkey]);
    },
    stopped: async ({ run, site, vkey }) => {
      await run(['ledger', 'check', logFolder(site.data), '--key', vkey]);
    },
  },
  monitor: {
    running: async (sealed) => {
      const state = ['--state', inRoot(sealed, 'monitor.json')];
      await sealed.run(['monitor', sealed.site.url, '--key', sealed.vkey, ...state, '--once']);
    },
  },
  witness: {
    running: async (sealed) => {
      const { run, site, vkey } = sealed;
      const [key, data] = [inRoot(sealed, 'witness.key'), ['--data', inRoot(sealed, 'witness-data')]];
      await run(['witness', 'new', '--out', key, '--name', 'witness.example']);
      await run(['witness', 'add-log', vkey, ...data]);
      // It would serve until it is told to end; at the site's own port it says so and ends.
      await run(['witness', 'serve', '--key', key, ...data, '--port', String(site.port)], 1);
    },
  },
  key: {
    running: async ({ run }) => {
      await run(['key', 'new', '--name', 'guest']);
      const guest = /^(\S+) .*guest/m.exec(await run(['key', 'list']))?.[1] ?? '';
      await run(['key', 'revoke', guest]);
    },
  },
  policy: {
    running: async (sealed) => {
      const { run, site } = sealed;
      const drafts = inRoot(sealed, 'governance');
      const bundle = inRoot(sealed, 'bundle.json');
      await run(['policy', 'check', drafts]);
      await run(['policy', 'test', drafts]);
      await run(['policy', 'build', '--governance', drafts, '--out', bundle]);
      await run(['policy', 'diff', 'running', bundle]);
      await run(['policy', 'what-if', bundle]);
      const signer = path.join(site.data, 'keys', 'policy-signer.key');
      await run(['policy', 'sign', bundle, '--signer', signer]);
      await run(['policy', 'apply', bundle]);
      assert.match(await run(['policy', 'history']), /2/);
      await run(['policy', 'explain', '--model', 'chat', '--label', 'c2']);
      await run(['policy', 'explain', '--rid', sealed.receipt]);
    },
  },
  provider: {
    running: async (sealed) => {
      const flags = Object.entries(PROVIDER).flatMap(([flag, value]) => [`--${flag}`, value]);
      const drafts = ['--governance', inRoot(sealed, 'other-governance')];
      await sealed.run(['provider', 'add', 'far', ...drafts, ...flags]);
    },
  },
  signer: {
    running: async (sealed) => {
      await sealed.run(['signer', 'new', '--out', inRoot(sealed, 'ada.key'), '--name', 'ada']);
    },
  },
  approval: {
    running: async ({ run }) => void (await run(['approval', 'list', '--all'])),
  },
  backup: {
    running: async (sealed) => {
      await sealed.run(['backup', '--out', inRoot(sealed, 'backup'), '--with-keys']);
    },
  },
  restore: {
    stopped: async (sealed) => {
      await sealed.run(['restore', '--drill', inRoot(sealed, 'backup')]);
    },
  },
  org: {
    running: async ({ run }) => {
      await run(['org', 'new', 'Guests']);
      assert.match(await run(['org', 'list']), /Guests/);
    },
  },
  erase: {
    running: async ({ run, receipt }) => {
      await run(['erase', receipt, '--ground', 'contract']);
    },
  },
  model: {
    running: async ({ run }) => {
      assert.match(await run(['model', 'list']), /tiny/);
    },
    stopped: async (sealed) => {
      // Fetching is what a site that is cut off refuses; importing is how it gets its models.
      await sealed.run(['model', 'pull', 'smollm2-135m-instruct'], 1);
      await sealed.run(['model', 'import', inRoot(sealed, 'tiny.gguf'), '--name', 'tiny']);
    },
  },
  'leak-test': {
    stopped: async ({ run }) => {
      const said = await run(['leak-test', '--case', 'disconnected', '--case', 'telemetry']);
      assert.match(said, /2 pass, 0 fail, 0 not applicable, 0 suite error/);
    },
  },
  doctor: {
    running: async ({ run }) => void (await run(['doctor'])),
  },
  config: {
    running: async ({ run }) => void (await run(['config', 'check'])),
    stopped: async ({ run }) => void (await run(['config', 'check'])),
  },
};

/** The commands that the program says it has. */
export function commandsOf(help: string): readonly string[] {
  return help.split('\n').flatMap((line) => /^ {2}([a-z][a-z-]*) +\S/.exec(line)?.[1] ?? []);
}

/** What stops this table from being the program's, in words that say what to do. */
export function tableProblems(commands: readonly string[]): readonly string[] {
  const known = Object.keys(SEALED_COMMANDS);
  return [
    ...commands
      .filter((name) => !known.includes(name))
      .map((name) => `${name}: give it a row in test/support/sealed-commands.ts that runs it in the room`),
    ...known.filter((name) => !commands.includes(name)).map((name) => `${name}: there is no such command`),
  ];
}
