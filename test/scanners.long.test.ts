import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { scanWithCanary } from './support/compat-canary.ts';
import { installLlmComply, scanWithComply } from './support/llm-comply.ts';
import type { ComplyFormat } from './support/llm-comply.ts';
import type { Provider } from './support/provider.ts';
import type { Site } from './support/site.ts';
import { siteWithTwoModels } from './support/two-models.ts';

// docs/compatibility.md says why each probe that fails does.
const held = new AsyncDisposableStack();
let site: Site;
let provider: Provider;

before(async () => {
  ({ site, provider } = await siteWithTwoModels(held));
  await installLlmComply();
});

after(async () => held.disposeAsync());

test('llm-comply, openai-chat over HTTP: everything passes but what it skips itself', async () => {
  const weather = { name: 'get_weather', arguments: '{"location":"Tokyo"}' };
  const answer = { kind: 'answer' } as const;
  // Its fourth request is the one with a tool.
  provider.behave(answer, answer, answer, { kind: 'answer', tools: [weather] });
  assert.deepEqual(await notPassed('openai-chat', 'scripted'), { 'chat-reasoning-summary': 'skipped' });
});

test('llm-comply, openai-chat on the local engine: only images are refused', async () => {
  assert.deepEqual(await notPassed('openai-chat', 'tiny'), {
    'chat-image-input': 'failed',
    'chat-reasoning-summary': 'skipped',
  });
});

for (const format of ['open-responses', 'anthropic'] as const)
  test(`llm-comply, ${format}: the surface is not there, and no probe for an answer passes`, async () => {
    const probes = await scanWithComply(format, target('tiny'));
    const passed = Object.keys(probes).filter((id) => probes[id] === 'passed');
    // These two take any refusal for a pass.
    const refusals = ['compact-response', 'compact-missing-model'];
    assert.deepEqual(passed, format === 'anthropic' ? [] : refusals);
  });

test('CompatCanary, modern: only the probes of Responses fail', async () => {
  const { probes } = await scanWithCanary('modern', target('tiny'));
  const failed = Object.keys(probes).filter((id) => probes[id] !== 'pass');
  assert.deepEqual(failed, ['responses.basic', 'responses.streaming']);
});

async function notPassed(format: ComplyFormat, model: string): Promise<Record<string, string>> {
  const probes = await scanWithComply(format, target(model));
  assert.ok(Object.keys(probes).length >= 9);
  return Object.fromEntries(Object.entries(probes).filter(([, status]) => status !== 'passed'));
}

function target(model: string): { url: string; model: string; key: string } {
  return { url: site.url, model, key: site.adminKey };
}
