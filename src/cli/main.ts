import { readEnv, type Env } from '../core/env.ts';
import { nearest } from '../core/nearest.ts';
import { toFault } from '../core/fault.ts';
import { ASK_HELP, askCommand } from './ask.ts';
import { CONFIG_HELP, configCommand } from './config.ts';
import { DOCTOR_HELP, doctorCommand } from './doctor.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';
import { KEY_HELP, keyCommand } from './key.ts';
import { runLedger } from './ledger-run.ts';
import { runModel } from './model-run.ts';
import { RECEIPT_HELP, receiptCommand } from './receipt.ts';
import { UP_HELP, upCommand } from './up.ts';
import { runVerify } from './verify-run.ts';

interface Command {
  readonly run: (args: readonly string[], io: Io) => Promise<number>;
  /** Null for a command that answers --help by itself. */
  readonly help: Text | null;
  readonly summary: Text;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: { run: upCommand, help: UP_HELP, summary: { ja: 'サイトを動かす', en: 'run a site' } },
  ask: { run: askCommand, help: ASK_HELP, summary: { ja: '一つ質問する', en: 'ask one question' } },
  receipt: {
    run: receiptCommand,
    help: RECEIPT_HELP,
    summary: { ja: '受領証を取り出す', en: 'fetch a receipt' },
  },
  verify: {
    run: runVerify,
    help: null,
    summary: { ja: '受領証をオフラインで検証する', en: 'verify receipts offline' },
  },
  ledger: { run: runLedger, help: null, summary: { ja: '台帳を検査する', en: 'check a log' } },
  key: { run: keyCommand, help: KEY_HELP, summary: { ja: '呼び出し鍵を扱う', en: 'manage callers’ keys' } },
  model: { run: runModel, help: null, summary: { ja: 'モデルを扱う', en: 'manage local models' } },
  doctor: {
    run: doctorCommand,
    help: DOCTOR_HELP,
    summary: { ja: '不具合と直し方を示す', en: 'what is wrong, each with its fix' },
  },
  config: {
    run: configCommand,
    help: CONFIG_HELP,
    summary: { ja: '設定を確かめる', en: 'check the configuration' },
  },
};

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
  if (command.help !== null && (rest.includes('--help') || rest.includes('-h'))) {
    io.out(say(io, command.help));
    return OK;
  }
  return run(command, rest, io);
}

async function run(command: Command, args: readonly string[], io: Io): Promise<number> {
  try {
    return await command.run(args, io);
  } catch (thrown) {
    if (isUsageError(thrown)) {
      io.err(`sekisho: ${thrown.message}\n${command.help === null ? '' : say(io, command.help)}`);
      return USAGE;
    }
    const fault = toFault(thrown);
    if (args.includes('--json')) io.err(`${JSON.stringify({ code: fault.code, message: fault.message })}\n`);
    else io.err(`sekisho: ${fault.message}\n`);
    return fault.code === 'core.config' || fault.code === 'core.environment' ? USAGE : FAILED;
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
    out: (text) => void process.stdout.write(text),
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
