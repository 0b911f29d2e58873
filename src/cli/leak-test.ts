import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { readTextFile } from '../core/secret-file.ts';
import { reportText } from '../leaktest/report/files.ts';
import { jsonReport, resultLines, tally } from '../leaktest/report/summary.ts';
import { caseIds, leakTest, type Against } from '../leaktest/run.ts';
import type { Result } from '../leaktest/case.ts';
import { FAILED, misuse, OK, say, type Io, type Text } from './io.ts';
import { printableText } from './printable.ts';

export const LEAK_TEST_HELP = {
  ja: `使い方: sekisho leak-test [--case ID ...] [--report ファイル ...] [--json]
       sekisho leak-test --target URL [--key 鍵] [--header '名: 値' ...] [--port 番号] [--report ファイル ...]
       sekisho leak-test --leaky
データの逃げ道を一つずつ試す。既定では Sekisho 自身を一時の場所で起動して試し、通信はこの機械の中に閉じる。
--target は他の中継を試す。その設定は docs/leak-test.md にある。--leaky は漏らす代理を試し、試験が働くことを示す。
報告は .json、.xml (JUnit)、.html。終了: 0 すべて合格、1 漏れか試験の不具合、2 使い方の誤り。
`,
  en: `usage: sekisho leak-test [--case ID ...] [--report F ...] [--json]
       sekisho leak-test --target URL [--key K] [--header 'NAME: VALUE' ...] [--port N] [--report F ...]
       sekisho leak-test --leaky
Tries every known way out for data. By default it starts Sekisho itself in a temporary place; nothing leaves this machine.
--target tries another gateway, configured as docs/leak-test.md says. --leaky tries a proxy that leaks, to show that the
suite bites. Reports: .json, .xml (JUnit), .html. Exit: 0 all pass, 1 a leak or an error of the suite, 2 wrong usage.
`,
};

const NONE: string[] = [];
const OPTIONS = {
  target: { type: 'string' },
  key: { type: 'string' },
  header: { type: 'string', multiple: true, default: NONE },
  port: { type: 'string' },
  case: { type: 'string', multiple: true, default: NONE },
  report: { type: 'string', multiple: true, default: NONE },
  leaky: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

/** Where an operator of another gateway points its configuration unless told. */
const REMOTE_PORT = 18_480;

/** `sekisho leak-test` */
export async function leakTestCommand(args: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { target, case: only, report, json } = values;
  const port = Number(values.port ?? (target === undefined ? 0 : REMOTE_PORT));
  const wrong = wrongUse({ ...values, port });
  if (wrong !== null) return misuse(io, wrong);
  const { locale } = io.env;
  const { results, facts } = await leakTest({
    against: chosen(target, values.leaky, { io, key: values.key, header: values.header }),
    port,
    only,
    suite: version(),
    signal: io.signal,
    onResult: (result) => void (json || io.out(`${printableText(resultLines(result, locale))}\n`)),
  });
  io.out(`${json ? JSON.stringify(jsonReport(results, facts)) : tally(results, locale)}\n`);
  for (const file of report) await writeFile(file, reportText(file, results, facts, locale) ?? '');
  return exitOf(results, io);
}

interface Wanted {
  readonly target?: string | undefined;
  readonly leaky: boolean;
  readonly case: readonly string[];
  readonly report: readonly string[];
  readonly header: readonly string[];
  readonly port: number;
}

function wrongUse({ target, leaky, case: only, report, header, port }: Wanted): Text | null {
  const unknown = only.find((id) => !caseIds().includes(id));
  if (unknown !== undefined)
    return { ja: `${unknown} という試験はない`, en: `there is no case ${unknown}: ${caseIds().join(', ')}` };
  if (report.some((file) => !/\.(json|xml|html)$/.test(file)))
    return { ja: '--report は .json、.xml、.html のいずれか', en: '--report: expected .json, .xml or .html' };
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    return { ja: '--port は番号', en: '--port: expected a number from 0 to 65535' };
  if (header.some((line) => !/^[\w-]+:/.test(line)))
    return { ja: "--header は '名: 値'", en: "--header: expected 'NAME: VALUE'" };
  if (target !== undefined && (leaky || !/^https?:\/\//.test(target) || !URL.canParse(target)))
    return { ja: '--target は http か https の番地', en: '--target: expected an http or https address' };
  return null;
}

function exitOf(results: readonly Result[], io: Io): number {
  const good = results.every(({ outcome }) => outcome === 'pass' || outcome === 'not-applicable');
  const ran = results.some(({ outcome }) => outcome === 'pass');
  if (good && ran && !io.signal.aborted) return OK;
  io.err(say(io, { ja: '合格しなかった試験がある\n', en: 'not every case passed\n' }));
  return FAILED;
}

interface Caller {
  readonly io: Io;
  readonly key: string | undefined;
  readonly header: readonly string[];
}

function chosen(target: string | undefined, leaky: boolean, { io, key, header }: Caller): Against {
  if (leaky) return { kind: 'leaky' };
  if (target === undefined)
    return { kind: 'self', program: process.argv[1] ?? '', searchPath: io.env.searchPath ?? '/usr/bin:/bin' };
  const said = header.map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()] as const;
  });
  const token = key ?? io.env.key?.reveal();
  const auth = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return { kind: 'remote', url: target, headers: { ...auth, ...Object.fromEntries(said) } };
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url).pathname;
  return /"version": "([^"]+)"/.exec(readTextFile(file, 'package.json'))?.[1] ?? 'unknown';
}
