import { parseArgs } from 'node:util';
import { Defect, parsePolicy, parseVkey, verifyReceipt } from '../ledger/verify/index.ts';
import type { Exit, Trust, Verdict } from '../ledger/verify/index.ts';
import type { Report } from './verify-report.ts';
import { jsonReport, textReport, troubleReport } from './verify-report.ts';

/** What the command sees of the world. */
export interface VerifyIo {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readFile(path: string): Promise<Uint8Array>;
}

/** What `--help` prints. */
export const VERIFY_HELP = {
  en: `usage: sekisho verify FILE... (--key VKEY | --policy FILE) [--request BODY] [--response BODY] [--json]

Verifies receipts offline. The first line is "valid", "invalid" or "not comparable".

  --key VKEY       the log's public key, or a file that holds it; default SEKISHO_LOG_KEY
  --policy FILE    a C2SP tlog-policy: the logs that are believed, and the quorum of witnesses that must have cosigned
  --request BODY   a file: also verify that this is the request body that was decided on
  --response BODY  a file: also verify that this is the response body that was answered
  --json           one JSON object a receipt

exit: 0 valid, 1 invalid, 2 unusable or not comparable; over several files 1 outranks 2 outranks 0
`,
  ja: `使い方: sekisho verify FILE... (--key VKEY | --policy FILE) [--request BODY] [--response BODY] [--json]

受領証をオフラインで検証します。先頭の行は valid(有効)、invalid(無効)、not comparable(照合不能)のいずれかです。

  --key VKEY       ログの公開鍵、またはそれを収めたファイル。省略時は SEKISHO_LOG_KEY
  --policy FILE    C2SP tlog-policy。信頼するログと、連署していなければならない証人の定足数を示します
  --request BODY   ファイル: 判定の対象となったリクエスト本文であることも検証します
  --response BODY  ファイル: 返された応答本文であることも検証します
  --json           受領証ごとに JSON オブジェクトを一行で出力します

終了コード: 0 有効、1 無効、2 使用不能または照合不能。複数のファイルでは 1、2、0 の順に優先します
`,
};

interface Options {
  readonly files: readonly string[];
  readonly key: string | undefined;
  readonly policy: string | undefined;
  readonly request: string | undefined;
  readonly response: string | undefined;
  readonly json: boolean;
}

/** `sekisho verify`: exit 0 valid, 1 invalid, 2 unusable, not comparable or wrong usage; 1 outranks 2. */
export async function verifyCommand(args: readonly string[], io: VerifyIo): Promise<Exit> {
  const options = readOptions(args);
  if (options === 'help') {
    io.out(usage(io));
    return 0;
  }
  if (typeof options === 'string') {
    io.err(`sekisho verify: ${options}\n\n${usage(io)}`);
    return 2;
  }
  const reports: Report[] = [];
  for (const file of options.files) reports.push({ file, ...(await verifyFile(file, options, io)) });
  for (const report of reports) if (report.verdict === 'unusable') io.err(troubleReport(report));
  io.out(options.json ? jsonReport(reports) : textReport(reports));
  return worst(reports.map(({ exit }) => exit));
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        key: { type: 'string' },
        policy: { type: 'string' },
        request: { type: 'string' },
        response: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { key, policy, request, response, json, help } = values;
    if (help) return 'help';
    if (positionals.length === 0) return 'expected a receipt file';
    if (key !== undefined && policy !== undefined) return 'expected either --key or --policy, found both';
    return { files: positionals, key, policy, request, response, json };
  } catch (thrown) {
    // parseArgs throws for an unknown option and a missing value only; its message names the option.
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

async function verifyFile(file: string, options: Options, io: VerifyIo): Promise<Verdict> {
  try {
    const trust = await readTrust(options, io);
    const receipt = await read(file, io);
    const request = await readBody(options.request, io);
    const response = await readBody(options.response, io);
    const missing = [request, response].filter((body) => body instanceof Defect);
    const verdict = await verifyReceipt(receipt, trust, {
      ...(request instanceof Uint8Array && { request }),
      ...(response instanceof Uint8Array && { response }),
    });
    // A receipt that is invalid by itself stays so; any other cannot be compared as was asked.
    return verdict.exit === 1 || missing.length === 0 ? verdict : unusable(missing);
  } catch (thrown) {
    if (thrown instanceof Defect) return unusable([thrown]);
    throw thrown;
  }
}

async function readTrust({ key, policy }: Options, io: VerifyIo): Promise<Trust> {
  if (policy !== undefined) return parsePolicy(await read(policy, io));
  const given = key ?? io.env['SEKISHO_LOG_KEY'] ?? '';
  if (given === '') throw new Defect(2, 'a log key is required: --key, --policy or SEKISHO_LOG_KEY');
  return { vkeys: [await readVkey(given, io)] };
}

// A text that is a key is one, whatever files there are; only another may name a file.
async function readVkey(given: string, io: VerifyIo): Promise<string> {
  try {
    parseVkey(given);
    return given;
  } catch (thrown) {
    const bytes = await io.readFile(given).catch(() => null);
    if (bytes === null) throw thrown;
    return new TextDecoder().decode(bytes).trim();
  }
}

async function readBody(file: string | undefined, io: VerifyIo): Promise<Uint8Array | Defect | null> {
  if (file === undefined) return null;
  try {
    return await read(file, io);
  } catch (thrown) {
    if (thrown instanceof Defect) return thrown;
    throw thrown;
  }
}

async function read(file: string, io: VerifyIo): Promise<Uint8Array> {
  try {
    return await io.readFile(file);
  } catch (cause) {
    throw new Defect(2, `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function unusable(defects: readonly Defect[]): Verdict {
  const reasons = defects.map(({ message }) => message);
  return { exit: 2, verdict: 'unusable', level: null, state: null, reasons, summary: null };
}

function worst(exits: readonly Exit[]): Exit {
  if (exits.includes(1)) return 1;
  return exits.includes(2) ? 2 : 0;
}

function usage({ env }: VerifyIo): string {
  const locale = [env['LC_ALL'], env['LC_MESSAGES'], env['LANG']].find((name) => name) ?? '';
  return /^ja(?:[_.@-]|$)/i.test(locale) ? VERIFY_HELP.ja : VERIFY_HELP.en;
}
