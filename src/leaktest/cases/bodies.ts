import { commonScene } from '../scenes.ts';
import type { Stage } from '../stage.ts';
import type { Case } from '../case.ts';
import type { Arrived } from '../world/sink.ts';

/** Ways out that the body of a request opens. */
export const BODIES: readonly Case[] = [
  {
    id: 'stored',
    number: 13,
    version: '2026-11-27',
    configures: false,
    title: { ja: '提供者での保存', en: 'content that the provider keeps' },
    why: {
      ja: 'store などの指定で、提供者は会話を保存する。',
      en: 'With store and its kin the provider keeps conversations, for some interfaces by default.',
    },
    source: 'OpenAI API reference, store and previous_response_id',
    how: {
      ja: 'store、previous_response_id、conversation を送る。',
      en: 'Requests with store, previous_response_id and conversation.',
    },
    check: { ja: '提供者にその指定が届かない。', en: 'The provider gets none of them set.' },
    run: (stage) =>
      members(stage, [{ store: true }, { previous_response_id: 'r' }, { conversation: 'c' }], (body) =>
        /"store":\s*true|"previous_response_id":\s*"|"conversation":\s*"/.test(body),
      ),
  },
  {
    id: 'prompt-cache',
    number: 14,
    version: '2026-11-27',
    configures: false,
    title: { ja: '提供者での入力の保持', en: 'prompt caches with long retention' },
    why: {
      ja: '長い保持の指定で、入力が提供者に一日残る。',
      en: 'Extended retention keeps prompts at the provider for a day.',
    },
    source: 'OpenAI API reference, prompt_cache_retention',
    how: {
      ja: 'prompt_cache_key と prompt_cache_retention を送る。',
      en: 'Requests with prompt_cache_key and prompt_cache_retention.',
    },
    check: { ja: '提供者にその指定が届かない。', en: 'The provider gets neither.' },
    run: (stage) =>
      members(stage, [{ prompt_cache_key: 'k' }, { prompt_cache_retention: '24h' }], (body) =>
        body.includes('prompt_cache_'),
      ),
  },
  {
    id: 'files',
    number: 15,
    version: '2026-11-27',
    configures: false,
    title: { ja: 'ファイルと一括処理', en: 'files and batches' },
    why: {
      ja: 'これらは提供者に保存しなければ働かない。',
      en: 'Neither works without being stored at the provider.',
    },
    source: 'OpenAI API reference, files and batches',
    how: { ja: '/v1/files と /v1/batches へ送る。', en: 'Uploads to /v1/files and /v1/batches.' },
    check: { ja: '誰にも届かない。', en: 'They reach nobody.' },
    run: (stage) => paths(stage, ['/v1/files', '/v1/batches', '/v1/uploads', '/v1/vector_stores']),
  },
  {
    id: 'other-routes',
    number: 16,
    version: '2026-11-27',
    configures: false,
    title: { ja: '統制されない経路', en: 'routes beside the governed ones' },
    why: {
      ja: '知らない経路をそのまま流す中継は、規則を通らない。',
      en: 'Gateways that pass unknown paths on skip their own rules there.',
    },
    source: 'github.com/maximhq/bifrost/issues/2873',
    how: {
      ja: '知られた経路と作った経路へ送る。',
      en: 'Requests to other paths of the API, and to paths that do not exist.',
    },
    check: {
      ja: '提供者に見慣れない経路の要求が届かない。',
      en: 'No provider gets a request on a path that no record covers.',
    },
    run: (stage) =>
      paths(stage, [
        '/v1/rerank',
        '/v1/moderations',
        '/v1/audio/speech',
        '/v1/audio/transcriptions',
        '/v1/images/generations',
        '/v1/realtime/sessions',
        '/v1/assistants',
        '/v1/threads',
        '/v1/fine_tuning/jobs',
        '/v1/no-such-path',
        '/v1/proxy/x',
      ]),
  },
  {
    id: 'media',
    number: 17,
    version: '2026-11-27',
    configures: false,
    title: { ja: '提供者が取りに行く画像', en: 'media that the model server fetches' },
    why: {
      ja: '推論サーバーは要求の中の URL を検査なしに取りに行く。',
      en: 'Model servers fetch URLs of a request, redirects included.',
    },
    source: 'github.com/vllm-project/vllm/issues/57157',
    how: {
      ja: '画像を URL で送る。国内の提供者は届いた URL を取りに行く。',
      en: 'Images by URL; the domestic provider fetches whatever URL reaches it.',
    },
    check: { ja: '画像の置き場に接続がない。', en: 'The media host sees no connection.' },
    run: media,
  },
  {
    id: 'provider-tools',
    number: 18,
    version: '2026-11-27',
    configures: false,
    title: { ja: '提供者が動かす道具', en: 'tools that the provider runs' },
    why: {
      ja: '遠隔の MCP、ウェブ検索、コード実行は第三者へ送り、所在の約束の外にある。',
      en: 'Remote MCP, web search and code runners send to third parties, outside residency promises.',
    },
    source: 'OpenAI, data residency: third parties',
    how: {
      ja: '国外の server_url を持つ道具などを送る。',
      en: 'Tools with a server abroad, and the others that a provider runs.',
    },
    check: {
      ja: '提供者に届かず、国外に接続がない。',
      en: 'The provider gets none, and nothing connects abroad.',
    },
    run: providerTools,
  },
  {
    id: 'kept-texts',
    number: 21,
    version: '2026-11-27',
    configures: true,
    title: { ja: '記録、指標、エラーに残る本文', en: 'content in logs, metrics and errors' },
    why: {
      ja: '提供者のエラー文や記録には、しばしば入力がそのまま入る。',
      en: 'Errors of providers and logs often hold the prompt as it was.',
    },
    source: 'docs/threat-model.md',
    how: {
      ja: '提供者が入力を含む誤りを返す。壊れた要求も送る。',
      en: 'The provider answers with errors that hold the prompt; broken requests too.',
    },
    check: {
      ja: 'データ、出力、指標、エラーに目印がない。',
      en: 'No canary in data, output, metrics and errors.',
    },
    run: keptTexts,
  },
];

const GOVERNED = /^\/v1\/(chat\/completions|embeddings)$/;

async function members(
  stage: Stage,
  tries: readonly Readonly<Record<string, unknown>>[],
  wrong: (body: string) => boolean,
): Promise<void> {
  const gateway = await stage.open(commonScene(stage.world));
  stage.works(await stage.chat(gateway, { model: 'leak-home' }));
  for (const body of tries) {
    await stage.chat(gateway, { model: 'leak-home', ...body });
    await stage.chat(gateway, { model: 'leak-home', stream: true, ...body });
  }
  for (const { body } of atHome(stage)) if (wrong(body)) stage.leak(`the provider got ${body.slice(0, 160)}`);
}

async function paths(stage: Stage, tried: readonly string[]): Promise<void> {
  const gateway = await stage.open(commonScene(stage.world));
  const body = JSON.stringify({
    model: 'leak-home',
    input: stage.canary.at('input'),
    purpose: 'batch',
    query: 'q',
    documents: ['d'],
  });
  for (const path of tried)
    await stage.ask(gateway, { method: 'POST', path, headers: { 'content-type': 'application/json' }, body });
  const seen = atHome(stage).filter(({ path }) => !GOVERNED.test(path));
  for (const { method, path } of seen) stage.leak(`a provider got ${method} ${path}`);
}

async function media(stage: Stage): Promise<void> {
  const { world, canary } = stage;
  const gateway = await stage.open(commonScene(world));
  const url = `http://${world.media.address}:${world.port}/${canary.at('file')}.png`;
  for (const part of [
    { type: 'image_url', image_url: { url } },
    { type: 'input_audio', input_audio: { data: url, format: 'wav' } },
    { type: 'file', file: { file_data: url, filename: canary.at('name') } },
    { type: 'video_url', video_url: { url } },
  ])
    await stage.chat(gateway, { model: 'leak-home', messages: [{ role: 'user', content: [part] }] });
  for (const { body } of atHome(stage)) if (body.includes(url)) stage.leak('the provider got a URL to fetch');
}

async function providerTools(stage: Stage): Promise<void> {
  const { world } = stage;
  const gateway = await stage.open(commonScene(world));
  const server = `http://${world.foreign.address}:${world.port}/mcp`;
  for (const tool of [
    { type: 'mcp', server_label: 'x', server_url: server },
    { type: 'web_search' },
    { type: 'code_interpreter', container: { type: 'auto' } },
    { type: 'file_search', vector_store_ids: ['vs_1'] },
  ]) {
    await stage.chat(gateway, { model: 'leak-home', tools: [tool] });
    await stage.ask(gateway, {
      method: 'POST',
      path: '/v1/responses',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'leak-home', input: stage.canary.at('input'), tools: [tool] }),
    });
  }
  for (const { body } of atHome(stage))
    if (/"type":\s*"(mcp|web_search|code_interpreter|file_search)"/.test(body))
      stage.leak('the provider got a tool to run');
}

async function keptTexts(stage: Stage): Promise<void> {
  const { world, canary } = stage;
  const gateway = await stage.open(commonScene(world));
  const said = JSON.stringify({
    error: { message: `cannot answer "${canary.at('prompt')}"`, code: 'x', type: 'x' },
  });
  for (const status of [400, 429, 500]) {
    for (const home of [world.homeA, world.homeB]) home.script = () => ({ status, body: said });
    stage.free(
      (await stage.chat(gateway, { model: 'leak-home' })).text,
      `the error after a provider's ${status}`,
    );
  }
  const broken = `{"model":"leak-home","messages":[{"role":"user","content":"${canary.at('broken')}"`;
  for (const body of [broken, JSON.stringify({ model: 'leak-home', messages: canary.at('wrong') })]) {
    const reply = await stage.ask(gateway, {
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body,
    });
    stage.free(reply.text, 'the error after a broken request');
  }
}

function atHome({ world }: Stage): readonly Arrived[] {
  return [...world.homeA.requests, ...world.homeB.requests];
}
