import { readEnv, type Env } from '../core/env.ts';
import { nearest } from '../core/nearest.ts';
import { toFault } from '../core/fault.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';
import { printableText } from './printable.ts';

/** What a command's file gives; `help` is null for a command that answers --help by itself. */
interface Loaded {
  readonly run: (args: readonly string[], io: Io) => Promise<number>;
  readonly help: Text | null;
}

interface Command {
  /** Each command loads what it needs and no more: most of them are done before a server would be read. */
  readonly load: () => Promise<Loaded>;
  readonly summary: Text;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: {
    load: async () => import('./up.ts').then(({ upCommand, UP_HELP }) => ({ run: upCommand, help: UP_HELP })),
    summary: { ja: 'サイトを動かす', en: 'run a site' },
  },
  ask: {
    load: async () =>
      import('./ask.ts').then(({ askCommand, ASK_HELP }) => ({ run: askCommand, help: ASK_HELP })),
    summary: { ja: '一つ質問する', en: 'ask one question' },
  },
  receipt: {
    load: async () =>
      import('./receipt.ts').then(({ receiptCommand, RECEIPT_HELP }) => ({
        run: receiptCommand,
        help: RECEIPT_HELP,
      })),
    summary: { ja: '受領証を取り出す', en: 'fetch a receipt' },
  },
  verify: {
    load: async () => import('./verify-run.ts').then(({ runVerify }) => ({ run: runVerify, help: null })),
    summary: { ja: '受領証をオフラインで検証する', en: 'verify receipts offline' },
  },
  ledger: {
    load: async () => import('./ledger-run.ts').then(({ runLedger }) => ({ run: runLedger, help: null })),
    summary: { ja: '台帳を検査する', en: 'check a log' },
  },
  monitor: {
    load: async () =>
      import('./monitor.ts').then(({ monitorCommand, MONITOR_HELP }) => ({
        run: monitorCommand,
        help: MONITOR_HELP,
      })),
    summary: { ja: '台帳を外から見張る', en: 'follow a log from outside' },
  },
  key: {
    load: async () =>
      import('./key.ts').then(({ keyCommand, KEY_HELP }) => ({ run: keyCommand, help: KEY_HELP })),
    summary: { ja: '呼び出し鍵を扱う', en: 'manage callers’ keys' },
  },
  policy: {
    load: async () => import('./policy.ts').then(({ policyCommand }) => ({ run: policyCommand, help: null })),
    summary: { ja: 'ガバナンスを確かめ、説明する', en: 'check and explain governance' },
  },
  provider: {
    load: async () =>
      import('./provider.ts').then(({ providerCommand, PROVIDER_HELP }) => ({
        run: providerCommand,
        help: PROVIDER_HELP,
      })),
    summary: { ja: '提供者の下書きを作る', en: 'draft a provider' },
  },
  signer: {
    load: async () =>
      import('./signer.ts').then(({ signerCommand, SIGNER_HELP }) => ({
        run: signerCommand,
        help: SIGNER_HELP,
      })),
    summary: { ja: '方針の署名者の鍵を作る', en: 'make a policy signer’s key' },
  },
  approval: {
    load: async () =>
      import('./approval.ts').then(({ approvalCommand, APPROVAL_HELP }) => ({
        run: approvalCommand,
        help: APPROVAL_HELP,
      })),
    summary: { ja: '用途の承認を扱う', en: 'manage approvals of purposes' },
  },
  erase: {
    load: async () =>
      import('./erase.ts').then(({ eraseCommand, ERASE_HELP }) => ({ run: eraseCommand, help: ERASE_HELP })),
    summary: { ja: '要求を消去する', en: 'erase a request' },
  },
  backup: {
    load: async () =>
      import('./backup.ts').then(({ backupCommand, BACKUP_HELP }) => ({
        run: backupCommand,
        help: BACKUP_HELP,
      })),
    summary: { ja: '止めずに控えを取る', en: 'back a site up while it runs' },
  },
  restore: {
    load: async () =>
      import('./restore.ts').then(({ restoreCommand, RESTORE_HELP }) => ({
        run: restoreCommand,
        help: RESTORE_HELP,
      })),
    summary: { ja: '控えを戻す、試す', en: 'put a backup back, or try one' },
  },
  org: {
    load: async () =>
      import('./org.ts').then(({ orgCommand, ORG_HELP }) => ({ run: orgCommand, help: ORG_HELP })),
    summary: { ja: '組織を扱う', en: 'manage organisations' },
  },
  model: {
    load: async () =>
      import('./model.ts').then(({ modelCommand, MODEL_HELP }) => ({
        run: async (args, io) => modelCommand(args, io),
        help: MODEL_HELP,
      })),
    summary: { ja: 'モデルを扱う', en: 'manage local models' },
  },
  'leak-test': {
    load: async () =>
      import('./leak-test.ts').then(({ leakTestCommand, LEAK_TEST_HELP }) => ({
        run: leakTestCommand,
        help: LEAK_TEST_HELP,
      })),
    summary: { ja: 'データの逃げ道を試す', en: 'try every known way out for data' },
  },
  witness: {
    load: async () =>
      import('./witness.ts').then(({ witnessCommand, WITNESS_HELP }) => ({
        run: witnessCommand,
        help: WITNESS_HELP,
      })),
    summary: { ja: '他の台帳の証人になる', en: 'witness other logs' },
  },
  doctor: {
    load: async () =>
      import('./doctor.ts').then(({ doctorCommand, DOCTOR_HELP }) => ({
        run: doctorCommand,
        help: DOCTOR_HELP,
      })),
    summary: { ja: '不具合と直し方を示す', en: 'what is wrong, each with its fix' },
  },
  config: {
    load: async () =>
      import('./config.ts').then(({ configCommand, CONFIG_HELP }) => ({
        run: configCommand,
        help: CONFIG_HELP,
      })),
    summary: { ja: '設定を確かめる', en: 'check the configuration' },
  },
};

/** What is wrong with how the command was called, or with what it was told to read. */
const USAGE_FAULTS = new Set([
  'core.config',
  'core.environment',
  'core.unreadable_file',
  'egress.invalid_url',
]);

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  endWithLauncher();
  let env: Env;
  try {
    env = readEnv();
  } catch (thrown) {
    process.stderr.write(`sekisho: ${toFault(thrown).message}\n`);
    return USAGE;
  }
  const io = processIo(env);
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    (name === undefined ? io.err : io.out)(overview(io));
    return name === undefined ? USAGE : OK;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) return unknownCommand(name, io);
  const loaded = await command.load();
  if (loaded.help !== null && (rest.includes('--help') || rest.includes('-h'))) {
    io.out(say(io, loaded.help));
    return OK;
  }
  return run(loaded, rest, io);
}

async function run(command: Loaded, args: readonly string[], io: Io): Promise<number> {
  try {
    return await command.run(args, io);
  } catch (thrown) {
    if (isUsageError(thrown)) {
      io.err(`sekisho: ${thrown.message}\n${command.help === null ? '' : say(io, command.help)}`);
      return USAGE;
    }
    const fault = toFault(thrown);
    const { troubleText } = await import('./trouble.ts');
    io.err(troubleText(fault, io, { json: args.includes('--json') }));
    return USAGE_FAULTS.has(fault.code) ? USAGE : FAILED;
  }
}

function unknownCommand(name: string, io: Io): number {
  const meant = nearest(name, Object.keys(COMMANDS));
  const hint =
    meant === null ? '' : say(io, { ja: `。${meant} のことですか`, en: `; did you mean ${meant}?` });
  const what = say(io, { ja: `${name} というコマンドはない`, en: `there is no command ${name}` });
  io.err(`sekisho: ${what}${hint}\n`);
  return USAGE;
}

function overview(io: Io): string {
  const rows = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(9)} ${say(io, summary)}`,
  );
  const usage = say(io, { ja: '使い方: sekisho コマンド [引数]', en: 'usage: sekisho COMMAND [ARGS]' });
  const more = say(io, { ja: '詳しくは: sekisho コマンド --help', en: 'more: sekisho COMMAND --help' });
  return `${usage}\n\n${rows.join('\n')}\n\n${more}\n`;
}

function processIo(env: Env): Io {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  return {
    // Answers and names in it come from outside; a pipe gets them as they are.
    out: (text) => void process.stdout.write(process.stdout.isTTY ? printableText(text) : text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stderr.isTTY,
    env,
    signal: interrupt.signal,
  };
}

// The launcher holds a channel to this process. When it closes the launcher was killed, and a site that nobody can
// reach by its process must not go on.
function endWithLauncher(): void {
  if (process.channel === undefined || process.channel === null) return;
  process.channel.unref();
  process.on('disconnect', () => process.exit(FAILED));
}

// node:util parseArgs marks wrong usage with these codes.
function isUsageError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('ERR_PARSE_ARGS_');
}
