import { commonScene, scene, plainProvider } from '../scenes.ts';
import type { Stage } from '../stage.ts';
import type { Case } from '../case.ts';
import type { Gateway, Scene } from '../types.ts';
import { ownScene } from './names.ts';

/** Ways out that a wrong or late decision opens. */
export const POLICY: readonly Case[] = [
  {
    id: 'kept-connection',
    number: 5,
    version: '2026-11-27',
    configures: true,
    title: { ja: '方針の変更後も残る接続', en: 'a kept connection outlives the policy' },
    why: {
      ja: '開いた接続は、許可が取り消された後も使われる。',
      en: 'An open connection is used after what allowed it was taken back: no name is asked for again.',
    },
    source: 'measured with the pools of undici 8',
    how: {
      ja: '送って接続を保ち、署名した方針で禁じ、また送る。',
      en: 'A request keeps a connection; a signed bundle forbids the provider; another request.',
    },
    check: {
      ja: '二度目は届かず、接続は1秒以内に閉じ、拒否が記録される。',
      en: 'The second does not arrive, the connection is closed within a second, and the denial has a leaf.',
    },
    run: keptConnection,
  },
  {
    id: 'deployment-type',
    number: 9,
    version: '2026-11-27',
    configures: true,
    title: {
      ja: '国内の資源の裏の Global 配置',
      en: 'a Global or DataZone deployment behind a domestic resource',
    },
    why: {
      ja: 'Global と DataZone の配置は、資源が国内にあっても他国で推論する。',
      en: 'Deployments of the types Global and DataZone compute elsewhere, wherever their resource lies.',
    },
    source: 'Microsoft Learn, Azure OpenAI deployment types',
    how: {
      ja: '契約種別が global と datazone の記録へ機密性2を送る。',
      en: 'Data of class 2 to records with the types global and datazone.',
    },
    check: {
      ja: '届かず、理由付きの拒否が記録される。',
      en: 'Nothing arrives; a denial with reasons has a leaf.',
    },
    run: (stage) => wanting(stage, ['global', 'datazone']),
  },
  {
    id: 'system-data',
    number: 11,
    version: '2026-11-27',
    configures: true,
    title: {
      ja: 'スキーマ、道具の名前、metadata の国外の記録',
      en: 'schemas, tool names and metadata as system data',
    },
    why: {
      ja: '提供者の国内保存の約束は「システムデータ」を除き、スキーマはそれに入る。',
      en: 'Residency offers leave out system data, and structured-output schemas count as such.',
    },
    source: 'OpenAI, data residency: system data',
    how: {
      ja: '記録を国外に置く提供者へ機密性2を、国内へ metadata を送る。',
      en: 'Data of class 2 to a provider whose logs lie abroad, and metadata to a domestic one.',
    },
    check: {
      ja: '前者に届かず、後者は metadata を受け取らない。',
      en: 'Nothing reaches the former, and the latter gets no metadata.',
    },
    run: systemData,
  },
  {
    id: 'abuse-review',
    number: 12,
    version: '2026-11-27',
    configures: true,
    title: { ja: '人による不正利用の審査と失効した記録', en: 'human review of abuse, and expired records' },
    why: {
      ja: '提供者は既定で最長30日保存し、人が読むことがある。',
      en: 'Providers keep content for up to 30 days by default, and people may read it.',
    },
    source: 'OpenAI, your data: abuse monitoring',
    how: {
      ja: '審査あり、不明、失効の記録へ機密性2を送る。',
      en: 'Data of class 2 to records with review, with nothing known, and past their end.',
    },
    check: {
      ja: '届かず、理由付きの拒否が記録される。',
      en: 'Nothing arrives; a denial with reasons has a leaf.',
    },
    run: (stage) => wanting(stage, ['review', 'reviewless', 'expired']),
  },
  {
    id: 'escalation',
    number: 29,
    version: '2026-11-27',
    configures: true,
    title: { ja: '方針の格下げと不正な方針', en: 'a label lowered by a header, a policy by a stranger' },
    why: {
      ja: '運用者の役割や呼び出し側のヘッダーで規則が緩む。',
      en: 'Roles of operators and headers of callers loosen rules in many products.',
    },
    source: 'common roles of cloud platforms: contributor may change filters',
    how: {
      ja: 'ヘッダーで c1 を求め、部外者の署名で国外を許す方針を持ち込む。',
      en: 'A header asks for c1; a bundle that calls the foreign provider domestic is brought with a stranger’s signature.',
    },
    check: {
      ja: '国外に接続がなく、どちらも拒まれる。',
      en: 'Nothing connects abroad, and both are refused.',
    },
    run: escalation,
  },
  {
    id: 'support-bundle',
    number: 22,
    version: '2026-11-27',
    configures: true,
    title: { ja: '保守用の持ち出しと遠隔保守', en: 'support bundles and remote support' },
    why: {
      ja: '保守用の書庫は記録や設定をそのまま運ぶ。',
      en: 'Support archives carry logs and settings as they are.',
    },
    source: 'Azure Local, log collection',
    how: { ja: '行わない。', en: 'Not tried.' },
    check: { ja: '承認なしに作れず、目印を含まない。', en: 'Needs approval, and holds no canary.' },
    run: { ja: '対象がない: 保守用の書庫がまだない', en: 'part absent: there are no support bundles yet' },
  },
];

const CLOSED_WITHIN = 1_000;

async function keptConnection(stage: Stage): Promise<void> {
  const { world } = stage;
  const id = 'kept-connection';
  const before: Scene = scene(world, id, {
    providers: [plainProvider('home-a', world.homeA, world)],
    models: { 'leak-a': ['home-a'] },
  });
  const gateway = await stage.open(before);
  stage.works(await stage.chat(gateway, { model: 'leak-a' }));
  const forbids = plainProvider('home-a', world.homeA, world, { record: { inference: 'US' } });
  const applied = await gateway.apply({ ...before, providers: [forbids] }, 'signer');
  stage.works(applied);
  await stage.clock.sleep(CLOSED_WITHIN);
  if (world.homeA.open > 0) stage.leak('the connection to the forbidden provider is still open');
  const served = world.homeA.requests.length;
  const reply = await stage.chat(gateway, { model: 'leak-a' });
  if (world.homeA.requests.length > served)
    stage.leak('a request reached the provider that is forbidden now');
  await stage.refused(gateway, reply, 'residency_policy_violation');
}

async function wanting(stage: Stage, names: readonly string[]): Promise<void> {
  const gateway = await stage.open(commonScene(stage.world));
  for (const name of names) await denied(stage, gateway, { model: `leak-${name}` });
}

async function systemData(stage: Stage): Promise<void> {
  const { world, canary } = stage;
  const gateway = await stage.open(commonScene(world));
  const schema = { type: 'object', properties: { [canary.at('key')]: { type: 'string' } } };
  const tools = [{ type: 'function', function: { name: canary.at('tool'), parameters: schema } }];
  const format = { type: 'json_schema', json_schema: { name: canary.at('schema'), schema } };
  const data = { tools, response_format: format, user: canary.at('user') };
  await denied(stage, gateway, { model: 'leak-logs-abroad', ...data });
  await stage.chat(gateway, { model: 'leak-home', metadata: { note: canary.at('metadata') } });
  for (const { body } of [...world.homeA.requests, ...world.homeB.requests])
    if (body.includes(canary.at('metadata')))
      stage.leak('the provider got metadata that its record does not cover');
}

async function denied(
  stage: Stage,
  gateway: Gateway,
  body: Readonly<Record<string, unknown>>,
): Promise<void> {
  await stage.refused(gateway, await stage.chat(gateway, body), 'residency_policy_violation');
}

async function escalation(stage: Stage): Promise<void> {
  const { world } = stage;
  const own = ownScene(world, 'escalation');
  const gateway = await stage.open(own);
  await denied(stage, gateway, { model: 'leak-abroad' });
  const lowered = await stage.chat(gateway, { model: 'leak-abroad' }, { 'sekisho-label': 'c1' });
  await stage.refused(gateway, lowered, 'label_downgrade');
  const domestic = own.providers.map((one) => (one.id === 'foreign' ? { ...one, country: 'JP' } : one));
  const brought = await gateway.apply({ ...own, providers: domestic }, 'stranger');
  if (gateway.reasons && !/signer|sign/.test(brought.text))
    stage.flaw(`refused a stranger's bundle without the reason: ${brought.text}`);
  await denied(stage, gateway, { model: 'leak-abroad' });
}
