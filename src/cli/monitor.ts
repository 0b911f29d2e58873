import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import { systemWorld, type Clock } from '../core/world.ts';
import { Monitor, type LogReport, type Watched } from '../ledger/monitor/monitor.ts';
import { StateFile } from '../ledger/monitor/state-file.ts';
import { Defect, parsePolicy, parseVkey } from '../ledger/verify/index.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';
import { logClient } from './log-client.ts';
import { monitorLines } from './monitor-report.ts';

const STATE_FILE = 'sekisho-monitor.json';
const DEFAULT_INTERVAL = 60;
const DEFAULT_OUTCOME = 3600;
/** The address of one log of a site, and not of the site. */
const LOG_ADDRESS = /\/ledger\/[0-9a-f]{8}\/?$/;

export const MONITOR_HELP: Text = {
  ja: `使い方: sekisho monitor URL (--key 検証鍵... | --policy F) [--state F] [--once | --interval 秒]
                     [--silence 秒] [--outcome 秒] [--json]
サイトの台帳を外から追い、以前に見たものと照らす。URL はサイト、またはその一つの台帳のアドレス。

  --key VKEY      台帳の検証鍵。いくつでも。省略時は SEKISHO_LOG_KEY
  --policy F      "log <vkey> [url]" の行で台帳を示すポリシー
  --state F       見たものを覚えるファイル。省略時は ${STATE_FILE}
  --once          一度だけ調べる。なければ警報まで --interval 秒 (省略時 ${DEFAULT_INTERVAL}) ごとに調べる
  --silence S     新しいチェックポイントが S 秒を超えて無ければ警報。要求の無いサイトは新しく署名しない
  --outcome S     許可された判断に S 秒 (省略時 ${DEFAULT_OUTCOME}) を超えて結果が無ければ警報。監査役の鍵を
                  SEKISHO_KEY に、サイトを SEKISHO_URL に置いたときだけ調べる
  --json          一行に一つの JSON

終了コード: 0 警報なし、1 警報、2 調べられない。警報: fork rollback unproven signature silence outcome unknown-log
`,
  en: `usage: sekisho monitor URL (--key VKEY... | --policy F) [--state F] [--once | --interval S]
                       [--silence S] [--outcome S] [--json]
Follows a site's log from outside and compares it with what was seen before. URL is the site, or one log of it.

  --key VKEY      the public key of a log, as often as there are logs; default SEKISHO_LOG_KEY
  --policy F      a policy whose "log <vkey> [url]" lines name the logs
  --state F       where it remembers what it saw; default ${STATE_FILE}
  --once          looks once; otherwise every --interval seconds (${DEFAULT_INTERVAL}) until there is an alarm
  --silence S     alarm when there was no new checkpoint for more than S seconds; a site at rest signs nothing new
  --outcome S     alarm when an allowed decision has no outcome after S seconds (${DEFAULT_OUTCOME}); looked at only
                  with the key of an auditor in SEKISHO_KEY and the site in SEKISHO_URL
  --json          one JSON object a line

exit: 0 no alarm, 1 alarm, 2 cannot be judged. Alarms: fork rollback unproven signature silence outcome unknown-log
`,
};

interface Options {
  readonly url: string;
  readonly keys: readonly string[];
  readonly policy: string | undefined;
  readonly state: string;
  readonly once: boolean;
  readonly json: boolean;
  readonly intervalMs: number;
  readonly silenceMs: number | null;
  readonly outcomeMs: number;
}

/** `sekisho monitor URL`: exit 0 no alarm, 1 alarm, 2 wrong usage or what cannot be judged. */
export async function monitorCommand(args: readonly string[], io: Io): Promise<number> {
  const options = readOptions(args, io);
  if (options === null) {
    io.err(say(io, MONITOR_HELP));
    return USAGE;
  }
  try {
    const vkeys = await readKeys(options);
    await using remote = await logClient(options.url, io);
    const bounds = { silenceMs: options.silenceMs, outcomeMs: remote.keyed ? options.outcomeMs : null };
    const watched = { remote, isOneLog: LOG_ADDRESS.test(options.url), vkeys, bounds };
    using file = new StateFile(options.state);
    return await follow({ watched, file, options }, io);
  } catch (thrown) {
    if (!(thrown instanceof Fault) && !(thrown instanceof Defect)) throw thrown;
    io.err(`sekisho monitor: ${thrown.message}\n`);
    return USAGE;
  }
}

async function follow(
  { watched, file, options }: { watched: Watched; file: StateFile; options: Options },
  io: Io,
): Promise<number> {
  const { clock } = systemWorld();
  const monitor = await Monitor.open(watched, file, clock.now());
  const said = new Map<string, string>();
  for (;;) {
    const reports = await monitor.round(clock.now());
    if (io.signal.aborted) return OK;
    for (const report of reports) tell(report, { said, watched, options, io });
    if (reports.some(({ alarms }) => alarms.length > 0)) return FAILED;
    if (reports.some(isBehind)) continue;
    if (options.once) return reports.some(({ unreached }) => unreached !== null) ? USAGE : OK;
    if (!(await slept(clock, options.intervalMs, io.signal))) return OK;
  }
}

// What did not change since the last round is not said again.
function tell(
  report: LogReport,
  { said, watched, options, io }: { said: Map<string, string>; watched: Watched; options: Options; io: Io },
): void {
  const text = monitorLines(report, watched.bounds, options.json);
  if (said.get(report.origin) === text) return;
  said.set(report.origin, text);
  io.out(text);
}

// A long log is read in parts, one after the other.
function isBehind({ head, read, unreached }: LogReport): boolean {
  return unreached === null && head !== null && read !== null && read < head.size;
}

async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  await clock.sleep(ms, signal).catch(() => {});
  return !signal.aborted;
}

function readOptions(args: readonly string[], io: Io): Options | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      key: { type: 'string', multiple: true, default: [] },
      policy: { type: 'string' },
      state: { type: 'string', default: STATE_FILE },
      once: { type: 'boolean', default: false },
      interval: { type: 'string' },
      silence: { type: 'string' },
      outcome: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [url, ...rest] = positionals;
  const { policy, state, once, json } = values;
  const keys = keysOf(values, io);
  const intervalMs = milliseconds(values.interval, DEFAULT_INTERVAL * SECOND);
  const silenceMs = milliseconds(values.silence, null);
  const outcomeMs = milliseconds(values.outcome, DEFAULT_OUTCOME * SECOND);
  if (url === undefined || rest.length > 0 || keys === null) return null;
  if (intervalMs === undefined || silenceMs === undefined || outcomeMs === undefined) return null;
  if (once && values.interval !== undefined) return null;
  return { url, keys, policy, state, once, json, intervalMs, silenceMs, outcomeMs };
}

// Null unless keys are named in one way.
function keysOf(
  { key, policy }: { readonly key: readonly string[]; readonly policy?: string | undefined },
  { env }: Io,
): readonly string[] | null {
  if (policy !== undefined) return key.length === 0 ? [] : null;
  if (key.length > 0) return key;
  return env.logKey === null ? null : [env.logKey];
}

// Undefined for what is no number of seconds.
function milliseconds<T>(text: string | undefined, otherwise: T): number | T | undefined {
  if (text === undefined) return otherwise;
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) * SECOND : undefined;
}

async function readKeys({ keys, policy, url }: Options): Promise<readonly string[]> {
  const given = policy === undefined ? await Promise.all(keys.map(readKey)) : await readPolicy(policy);
  const vkeys = [...new Set(given)];
  for (const vkey of vkeys) parseVkey(vkey);
  if (LOG_ADDRESS.test(url) && vkeys.length > 1)
    throw new Defect(2, 'one log has one key: give the address of the site to follow several');
  return vkeys;
}

// A text that is a key is one, whatever files there are; only another may name a file.
async function readKey(given: string): Promise<string> {
  const text = given.trim();
  try {
    parseVkey(text);
    return text;
  } catch (thrown) {
    const bytes = await readFile(text, 'utf8').catch(() => null);
    if (bytes === null) throw thrown;
    return bytes.trim();
  }
}

async function readPolicy(file: string): Promise<readonly string[]> {
  try {
    return parsePolicy(await readFile(file)).vkeys;
  } catch (cause) {
    if (cause instanceof Defect) throw cause;
    throw new Defect(2, `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
