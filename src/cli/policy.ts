import { nearest } from '../core/nearest.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

interface Verb {
  readonly load: () => Promise<{
    readonly run: (args: readonly string[], io: Io) => Promise<number>;
    readonly HELP: Text;
  }>;
  readonly summary: Text;
}

const VERBS: Readonly<Record<string, Verb>> = {
  check: {
    load: async () => import('./policy-check.ts'),
    summary: { ja: '下書きを確かめる', en: 'check drafts' },
  },
  build: {
    load: async () => import('./policy-build.ts'),
    summary: { ja: '下書きをバンドルにまとめる', en: 'fold drafts into a bundle' },
  },
  diff: {
    load: async () => import('./policy-diff.ts'),
    summary: { ja: '二つのバンドルの違いを示す', en: 'what differs between two bundles' },
  },
  sign: {
    load: async () => import('./policy-sign.ts'),
    summary: { ja: 'バンドルに署名する', en: 'sign a bundle' },
  },
  apply: {
    load: async () => import('./policy-apply.ts'),
    summary: { ja: 'バンドルを有効にする、緊急停止する', en: 'put a bundle in force; emergency stop' },
  },
  history: {
    load: async () => import('./policy-history.ts'),
    summary: { ja: '動いたバンドルを並べる', en: 'list the bundles that ran' },
  },
  test: {
    load: async () => import('./policy-test.ts'),
    summary: { ja: '下書きのテストを実行する', en: 'run the tests of drafts' },
  },
  explain: {
    load: async () => import('./policy-explain.ts'),
    summary: { ja: 'なぜ許可・拒否か、何が変われば許可か', en: 'why, and what would allow it' },
  },
  'what-if': {
    load: async () => import('./policy-what-if.ts'),
    summary: { ja: '別のバンドルなら変わる判定を示す', en: 'which recorded decisions a bundle would change' },
  },
};

/** `sekisho policy VERB`; each verb answers --help by itself. */
export async function policyCommand(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args;
  const asksHelp = name === undefined || name === '--help' || name === '-h';
  const verb = !asksHelp && Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) {
    if (asksHelp) (name === undefined ? io.err : io.out)(overview(io));
    else io.err(unknownVerb(name, io));
    return asksHelp && name !== undefined ? OK : USAGE;
  }
  const { run, HELP } = await verb.load();
  if (!rest.includes('--help') && !rest.includes('-h')) return run(rest, io);
  io.out(say(io, HELP));
  return OK;
}

function unknownVerb(name: string, io: Io): string {
  const meant = nearest(name, Object.keys(VERBS));
  const hint =
    meant === null ? '' : say(io, { ja: `。${meant} のことですか`, en: `; did you mean ${meant}?` });
  const what = say(io, {
    ja: `policy ${name} というコマンドはない`,
    en: `there is no command policy ${name}`,
  });
  return `sekisho: ${what}${hint}\n`;
}

function overview(io: Io): string {
  const usage = say(io, {
    ja: '使い方: sekisho policy コマンド [引数]',
    en: 'usage: sekisho policy COMMAND [ARGS]',
  });
  const rows = Object.entries(VERBS).map(
    ([name, { summary }]) => `  ${name.padEnd(8)} ${say(io, summary)}\n`,
  );
  return `${usage}\n\n${rows.join('')}`;
}
