import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { namedScene, plainProvider, scene } from '../scenes.ts';
import type { Stage } from '../stage.ts';
import type { Case } from '../case.ts';
import type { Scene } from '../types.ts';
import { ROGUE } from '../world/certificates.ts';
import type { LeakWorld } from '../world/world.ts';
import { ownScene } from './names.ts';

/** Ways out that the environment of the process opens. */
export const PROCESS: readonly Case[] = [
  {
    id: 'proxy-environment',
    number: 6,
    version: '2026-11-27',
    configures: true,
    title: { ja: '環境変数のプロキシ', en: 'proxies of the environment' },
    why: {
      ja: '実行環境は HTTP_PROXY などに従って通信を他所へ送る。',
      en: 'Runtimes obey HTTP_PROXY and its kin and send everything elsewhere.',
    },
    source: 'Node.js, NODE_USE_ENV_PROXY and --use-env-proxy; measured with Node 26',
    how: {
      ja: 'あらゆるプロキシの変数を立てて起動し、送る。',
      en: 'Started with every variable that names a proxy; then requests.',
    },
    check: {
      ja: '代理に接続がなく、国内に届く。',
      en: 'The proxy sees no connection, and the domestic provider the request.',
    },
    run: proxies,
  },
  {
    id: 'default-address',
    number: 8,
    version: '2026-11-27',
    configures: true,
    title: { ja: '部品の既定の番地', en: 'default and environment base URLs' },
    why: {
      ja: 'SDK は番地の指定がないと OPENAI_BASE_URL や自社の番地へ送る。',
      en: 'SDKs without an address send to OPENAI_BASE_URL or to their maker, and some gateways let a caller name one.',
    },
    source: 'openai for Node.js, baseURL; measured with version 7.57.0',
    how: {
      ja: '環境変数が国外を指す。番地のない記録で起動し、呼び出し側も番地を指定する。',
      en: 'The variables name a place abroad; a record without an address; callers that name one in the body and in headers.',
    },
    check: {
      ja: '国外に接続がない。',
      en: 'Nothing connects abroad, and a record without an address does not start.',
    },
    run: defaults,
  },
  {
    id: 'telemetry',
    number: 20,
    version: '2026-11-27',
    configures: true,
    title: { ja: '計測とトレースの送信', en: 'telemetry and tracing' },
    why: {
      ja: 'SDK には本文を含むトレースを既定で送るものがあり、試験の環境では止まっている。',
      en: 'Some SDKs post traces with content by default, and are silent when NODE_ENV is test.',
    },
    source: 'openai-agents for Node.js, tracing; OpenTelemetry, environment variables of the OTLP exporter',
    how: {
      ja: '計測の宛先を環境に置き、呼び出し側が余分なヘッダーを送る。',
      en: 'Exporters named in the environment; callers that send tracing and SDK headers.',
    },
    check: {
      ja: '計測先に接続がない。提供者に届くヘッダー名は一覧どおり。',
      en: 'The collector sees no connection, and the provider only listed header names.',
    },
    run: telemetry,
  },
  {
    id: 'disconnected',
    number: 23,
    version: '2026-11-27',
    configures: true,
    title: { ja: '切断姿勢での通信', en: 'calls home while disconnected' },
    why: {
      ja: '更新や失効の確認は、切断した環境からも外へ出ようとする。',
      en: 'Update, licence and revocation checks reach out from disconnected places too.',
    },
    source: 'Azure Local, disconnected operations: settings that silence such checks',
    how: {
      ja: '切断姿勢で起動し、建物の外の提供者へ送り、待つ。',
      en: 'Started disconnected with a provider outside; requests, and a while of idling.',
    },
    check: { ja: 'どこにも接続せず、何も尋ねない。', en: 'Nothing connects, and no name is asked for.' },
    run: disconnected,
  },
  {
    id: 'trust-environment',
    number: 24,
    version: '2026-11-27',
    configures: true,
    title: { ja: '環境変数による証明書の検査外し', en: 'certificate checks taken away by the environment' },
    why: {
      ja: '変数一つで検査が外れ、他人の認証局が加わる。',
      en: 'One variable takes the checks away, another adds an authority.',
    },
    source: 'Node.js, NODE_TLS_REJECT_UNAUTHORIZED and NODE_EXTRA_CA_CERTS',
    how: {
      ja: '別の認証局の証明書を持つ相手が提供者の番地に立つ。',
      en: 'A far side with a certificate of another authority stands at the provider’s address.',
    },
    check: {
      ja: '要求が一つも届かない。certificate で拒否し記録する。',
      en: 'It gets no request; refused as certificate, with a leaf.',
    },
    run: rogue,
  },
  {
    id: 'side-doors',
    number: 27,
    version: '2026-11-27',
    configures: true,
    title: { ja: '画面、Webhook、ID 連携からの通信', en: 'side doors: pages, webhooks, identity providers' },
    why: {
      ja: '画面の書体や Webhook も外へつながる。',
      en: 'Fonts of a page, webhooks and key sets connect outwards as well.',
    },
    source: 'Content Security Policy level 3, connect-src',
    how: { ja: '行わない。', en: 'Not tried.' },
    check: { ja: '他所への要求がない。', en: 'No request to another origin.' },
    run: {
      ja: '対象がない: 画面、Webhook、ID 連携がまだない',
      en: 'part absent: there are no console, webhooks and identity providers yet',
    },
  },
];

/** What a provider may see of names of headers. */
const HEADERS = new Set([
  'host',
  'connection',
  'content-type',
  'content-length',
  'accept',
  'accept-encoding',
  'authorization',
  'api-key',
  'x-api-key',
  'user-agent',
]);

async function proxies(stage: Stage): Promise<void> {
  const { world } = stage;
  const to = place(world, 'proxy');
  const names = [
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'http_proxy',
    'https_proxy',
    'ALL_PROXY',
    'all_proxy',
    'npm_config_proxy',
  ];
  const env = { ...Object.fromEntries(names.map((name) => [name, to])), NODE_USE_ENV_PROXY: '1' };
  const gateway = await stage.open({ ...ownScene(world, 'proxies'), env });
  stage.works(await stage.chat(gateway, { model: 'leak-a' }));
  stage.works(await stage.chat(gateway, { model: 'leak-home' }));
}

async function defaults(stage: Stage): Promise<void> {
  const { world } = stage;
  const to = `${place(world, 'foreign')}/v1`;
  const names = ['OPENAI_BASE_URL', 'OPENAI_API_BASE', 'AZURE_OPENAI_ENDPOINT', 'ANTHROPIC_BASE_URL'];
  const env = Object.fromEntries(names.map((name) => [name, to]));
  const bare = plainProvider('bare', world.homeA, world, { url: null });
  const missing: Scene = {
    ...scene(world, 'bare', { providers: [bare], models: { 'leak-a': ['bare'] } }),
    env,
  };
  await stage.refusesToStart(
    missing,
    /url/,
    async (gateway) => void (await stage.chat(gateway, { model: 'leak-a' })),
  );
  const gateway = await stage.open({ ...ownScene(world, 'defaults'), env });
  stage.works(await stage.chat(gateway, { model: 'leak-a' }));
  for (const body of [{ base_url: to }, { api_base: to }])
    await stage.chat(gateway, { model: 'leak-a', ...body });
  for (const name of ['x-base-url', 'x-portkey-custom-host', 'openai-base-url'])
    await stage.chat(gateway, { model: 'leak-a' }, { [name]: to });
}

async function telemetry(stage: Stage): Promise<void> {
  const { world, canary } = stage;
  const to = place(world, 'telemetry');
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: to,
    OTEL_TRACES_EXPORTER: 'otlp',
    SENTRY_DSN: `http://key@${world.telemetry.address}:${world.port}/1`,
    LANGFUSE_HOST: to,
    DD_TRACE_AGENT_URL: to,
  };
  const gateway = await stage.open({ ...ownScene(world, 'telemetry'), env });
  const names = [
    'traceparent',
    'baggage',
    'sentry-trace',
    'x-stainless-os',
    'cookie',
    'x-forwarded-for',
    'openai-organization',
  ];
  const said = Object.fromEntries(names.map((name) => [name, canary.at(name)]));
  stage.works(await stage.chat(gateway, { model: 'leak-a' }, said));
  for (const { headers } of world.homeA.requests) {
    const others = Object.keys(headers).filter((name) => !HEADERS.has(name));
    if (others.length > 0) stage.leak(`the provider got the headers ${others.join(', ')}`);
    stage.free(JSON.stringify(headers), 'the headers that the provider got');
  }
}

async function disconnected(stage: Stage): Promise<void> {
  const { world } = stage;
  // RFC 5737: addresses that belong to nobody.
  const outside = {
    id: 'outside',
    url: 'https://outside.leak.test/v1',
    country: 'JP',
    hosts: ['outside.leak.test'],
    addresses: ['192.0.2.0/24'],
    pins: [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`],
  };
  const own = plainProvider('home-a', world.homeA, world);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: place(world, 'telemetry') };
  const models = { 'leak-outside': ['outside'], 'leak-a': ['home-a'] };
  const site = scene(world, 'disconnected', {
    providers: [own, outside],
    models,
    posture: 'disconnected',
    env,
  });
  const gateway = await stage.open(site);
  const reply = await stage.chat(gateway, { model: 'leak-outside' });
  await stage.refused(gateway, reply, 'residency_policy_violation');
  await stage.clock.sleep(2_000);
}

async function rogue(stage: Stage): Promise<void> {
  const { world } = stage;
  for (const type of ['A', 'AAAA']) stage.mayAsk.add(`${type} a.leak.test`);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sekisho-leak-ca-'));
  try {
    const file = path.join(folder, 'rogue.pem');
    await writeFile(file, ROGUE.cert);
    const env = { NODE_EXTRA_CA_CERTS: file, SSL_CERT_FILE: file, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    const addresses = [`${world.rogue.address}/32`];
    const gateway = await stage.open({ ...namedScene(world, 'rogue', { addresses }), env });
    world.dns.script = (_, type) => (type === 'A' ? [world.rogue.address] : []);
    const reply = await stage.chat(gateway, { model: 'leak-a' });
    await stage.refused(gateway, reply, 'egress_denied', 'certificate');
  } finally {
    await rm(folder, { recursive: true });
  }
}

function place(world: LeakWorld, sink: 'proxy' | 'foreign' | 'telemetry'): string {
  return `http://${world[sink].address}:${world.port}`;
}
