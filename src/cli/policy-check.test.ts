import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ROOT } from '../../test/support/source.ts';
import { readEnv } from '../core/env.ts';
import { run } from './policy-check.ts';

const EXAMPLE = path.join(ROOT, 'examples', 'two-providers', 'governance');
const BLOCK_MOST = `@reason_ja("x") @reason_en("x")
forbid(principal, action, resource) when { context.label.conf > 1 && !(context has purpose && context.purpose == "trial") };`;

async function check(args: readonly string[], locale = 'C'): Promise<{ code: number; out: string }> {
  let out = '';
  const io = {
    out: (text: string) => void (out += text),
    err: () => {},
    terminal: false,
    env: readEnv({ LANG: locale }),
    signal: new AbortController().signal,
  };
  return { code: await run(args, io), out };
}

function drafts(context: TestContext, site: string, policy: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-check-'));
  context.after(() => rmSync(folder, { recursive: true }));
  cpSync(EXAMPLE, folder, { recursive: true });
  rmSync(path.join(folder, 'tests'), { recursive: true });
  writeFileSync(path.join(folder, 'site.yaml'), site);
  mkdirSync(path.join(folder, 'policies'));
  writeFileSync(path.join(folder, 'policies', 'own.cedar'), policy);
  return folder;
}

test('--formal prints how many combinations were looked at, in either language', async () => {
  const english = await check([EXAMPLE, '--formal']);
  assert.equal(english.code, 0);
  assert.match(english.out, /^formal check: \d{8,} combinations by \d+ questions to Cedar: nothing above c1/);
  assert.match((await check([EXAMPLE, '--formal'], 'ja_JP.UTF-8')).out, /^形式的な検査: /);
  assert.doesNotMatch((await check([EXAMPLE])).out, /formal/);
});

test('--formal fails on a planted permissive set of rules, and shows the facts', async (context) => {
  const site = 'name: a.example\njurisdiction: JP\nposture: private\nlabel: c1\npacks: []\n';
  const folder = drafts(
    context,
    site,
    `@id("all") permit(principal, action, resource);\n@id("most") ${BLOCK_MOST}`,
  );
  assert.equal((await check([folder])).code, 0);
  const { code, out } = await check([folder, '--formal']);
  assert.equal(code, 1);
  assert.match(out, /resource\.inference \(all\): \{.*"context\.purpose":"trial"/);
  const json = await check([folder, '--formal', '--json']);
  assert.equal(json.code, 1);
  assert.partialDeepStrictEqual(JSON.parse(json.out), {
    good: false,
    problems: [],
    formal: { result: 'violated' },
  });
});
