import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Fault } from '../src/core/fault.ts';
import { OPENAI_CHAT, OPENAI_EMBEDDINGS } from '../src/gateway/adapter/openai.ts';
import { requireKnown } from '../src/gateway/adapter/parameters.ts';
import { EMBEDDING_PARAMETERS } from '../src/gateway/llama/embeddings.ts';
import { CHAT_PARAMETERS, refuseUnsupported } from '../src/gateway/llama/request.ts';
import { NOTHING_ALLOWED } from '../src/policy/endpoints.ts';
import type { BodyRules } from '../src/policy/types.ts';
import { ROOT } from './support/source.ts';

type Json = Parameters<typeof refuseUnsupported>[0][string];

/** The rules of a record that allows this and nothing else. */
function allowing(rule: string): BodyRules {
  return { ...NOTHING_ALLOWED, [rule]: rule === 'tools' ? ['web_search'] : true };
}

/** A value that no provider is asked for. */
const ODD = 'odd';
const WORDS = {
  'parameters.md': {
    refused: 'refused',
    only: /^only (.*)$/,
    needs: /^needs `body\.(\w+)`$/,
    free: ['passed', 'obeyed', 'no effect'],
  },
  'parameters.ja.md': {
    refused: '断る',
    only: /^(.*) のみ$/,
    needs: /^`body\.(\w+)` が要る$/,
    free: ['渡す', '従う', '影響しない'],
  },
} as const;

for (const [file, words] of Object.entries(WORDS)) {
  const [chat, embeddings] = tables(file);
  const kinds = [
    { name: 'chat', table: chat, known: OPENAI_CHAT, facts: CHAT_PARAMETERS },
    { name: 'embeddings', table: embeddings, known: OPENAI_EMBEDDINGS, facts: EMBEDDING_PARAMETERS },
  ];
  for (const { name, table = [], known, facts } of kinds) {
    test(`${file}: the table of ${name} has every parameter`, () => {
      const rows = table.map(([parameter]) => parameter);
      assert.deepEqual(rows, Object.keys(facts).sort());
    });

    test(`${file}: the adapters do what the table of ${name} says`, () => {
      assert.ok(table.length > 0);
      for (const [parameter = '', remote = '', local = ''] of table) {
        const rule = words.needs.exec(remote)?.[1];
        const rules = rule === undefined ? NOTHING_ALLOWED : allowing(rule);
        if (rule !== undefined) {
          assert.throws(
            () => requireKnown({ [parameter]: true }, known, NOTHING_ALLOWED),
            (thrown) => thrown instanceof Fault && thrown.details['rule'] === `body.${rule}`,
          );
          requireKnown({ [parameter]: true }, known, rules);
          continue;
        }
        holds(remote, parameter, words, (value) => {
          // Of tools the table says only that they are passed; their kinds are told below it.
          requireKnown({ [parameter]: parameter === 'tools' ? [] : value }, known, rules);
        });
        holds(local, parameter, words, (value) => refuseUnsupported({ [parameter]: value }, facts));
      }
    });
  }
}

test('a table that says otherwise is caught', () => {
  const take = (value: Json): void => requireKnown({ audio: value }, OPENAI_CHAT, NOTHING_ALLOWED);
  assert.throws(() => holds('passed', 'audio', WORDS['parameters.md'], take));
});

function holds(
  cell: string,
  parameter: string,
  words: (typeof WORDS)[keyof typeof WORDS],
  take: (value: Json) => void,
): void {
  const refused = (value: Json): boolean => {
    try {
      take(value);
      return false;
    } catch (thrown) {
      assert.ok(thrown instanceof Fault && thrown.code === 'gateway.unsupported_parameter');
      assert.equal(thrown.details['param'], parameter);
      return true;
    }
  };
  const only = words.only.exec(cell)?.[1];
  const free: readonly string[] = words.free;
  assert.ok(free.includes(cell) || cell === words.refused || only !== undefined, `${parameter}: ${cell}`);
  assert.equal(refused(ODD), !free.includes(cell), `${parameter}: ${cell}`);
  for (const value of only?.split(', ') ?? []) {
    assert.equal(refused(JSON.parse(value.replaceAll('`', ''))), false, `${parameter}: ${value}`);
  }
}

/** The tables of a page whose first column names parameters, without their heads. */
function tables(file: string): readonly (readonly string[])[][] {
  const text = readFileSync(path.join(ROOT, 'docs', file), 'utf8');
  return text
    .split('\n\n')
    .filter((block) => /^\| (parameter|パラメーター) /.test(block))
    .map((block) =>
      block
        .trim()
        .split('\n')
        .slice(2)
        .map((line) => line.split('|').map((cell) => cell.trim()))
        .map(([, name = '', remote = '', local = '']) => [name.replaceAll('`', ''), remote, local]),
    );
}
