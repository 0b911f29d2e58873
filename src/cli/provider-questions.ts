import type { Text } from './io.ts';

/** One fact that `provider add` takes as a flag or asks for. */
export interface Question {
  readonly flag: string;
  /** Where the answer stands in the draft. */
  readonly at: readonly [string] | readonly ['residency' | 'network', string];
  readonly form: 'text' | 'country' | 'yes-no' | 'number' | 'list' | 'models';
  /** A fact may be unknown; an option may be left out; the rest is needed. */
  readonly need: 'fact' | 'option' | 'needed';
  readonly ask: Text;
}

const fact = (flag: string, name: string, form: Question['form'], ask: Text): Question => ({
  flag,
  at: ['residency', name],
  form,
  need: 'fact',
  ask,
});

const country = (flag: string, name: string, ja: string, en: string): Question =>
  fact(flag, name, 'country', { ja: `${ja}（国、JP など）`, en: `${en} (a country, like JP)` });

/** What is asked of the service itself. */
const SERVICE: readonly Question[] = [
  {
    flag: 'kind',
    at: ['kind'],
    form: 'text',
    need: 'needed',
    ask: {
      ja: '話し方（openai、azure、自機のモデルは llama）',
      en: 'kind (openai, azure, or llama for a model of this machine)',
    },
  },
  {
    flag: 'url',
    at: ['url'],
    form: 'text',
    need: 'needed',
    ask: {
      ja: 'URL（/v1 まで。Azure のデプロイなら /openai まで）',
      en: 'url, up to and including /v1, or /openai for the deployments of Azure',
    },
  },
  {
    flag: 'secret',
    at: ['secret'],
    form: 'text',
    need: 'option',
    ask: {
      ja: '鍵の名前（sekisho.yaml の secrets。鍵そのものは書かない）',
      en: 'name of its key under secrets of sekisho.yaml (never the key itself)',
    },
  },
];

const API_VERSION: Question = {
  flag: 'api-version',
  at: ['apiVersion'],
  form: 'text',
  need: 'option',
  ask: {
    ja: 'Azure のデプロイの api-version（例 2024-10-21。URL が /v1 で終わるなら空）',
    en: 'api-version of the deployments of Azure (like 2024-10-21; empty when the url ends in /v1)',
  },
};

const HEALTH: Question = {
  flag: 'health',
  at: ['health'],
  form: 'text',
  need: 'option',
  ask: {
    ja: '稼働確認に GET で呼ぶパス（例 /v1/models。確認しないなら空）',
    en: 'path to GET when checking whether it is well (like /v1/models; empty for no checks)',
  },
};

const MODELS: Question = {
  flag: 'model',
  at: ['models'],
  form: 'models',
  need: 'needed',
  ask: {
    ja: 'モデル（名前=受け取れる上限、例 chat=c2。コンマ区切り）',
    en: 'models (name=the most it may receive, like chat=c2; separated by commas)',
  },
};

/** The residency record. */
const RECORD: readonly Question[] = [
  {
    flag: 'operator',
    at: ['residency', 'operator'],
    form: 'text',
    need: 'needed',
    ask: { ja: '運営者の名称', en: 'who operates it' },
  },
  country(
    'nationality',
    'operatorNationality',
    '運営者が属する国。その国の法が及ぶ',
    'the operator’s country, whose law reaches it',
  ),
  country('inference', 'inference', '推論を行う場所', 'where it computes'),
  country('storage', 'storage', 'データを保存する場所', 'where it stores data'),
  country(
    'logs',
    'logs',
    'ログを置く場所。ログにも内容が残り得る',
    'where its logs are; logs can hold prompts',
  ),
  country(
    'support',
    'support',
    '保守要員のいる場所。保守の際に内容が見え得る',
    'where its support staff work, who could see data',
  ),
  country('key-custody', 'keyCustody', '暗号鍵を保管する場所', 'where its encryption keys are held'),
  fact('retention-days', 'retentionDays', 'number', {
    ja: '内容を残す日数（残さないなら 0）',
    en: 'days for which content is kept (0 for none)',
  }),
  fact('sku', 'sku', 'text', {
    ja: '契約種別（standard は一地域、datazone と global は他地域にも送る）',
    en: 'deployment (standard: one region; datazone and global route to others)',
  }),
  fact('training', 'training', 'yes-no', {
    ja: '入力を学習に使うか（yes/no）',
    en: 'does it train on prompts (yes/no)',
  }),
  fact('abuse-review', 'abuseReview', 'yes-no', {
    ja: '不正利用の監視で人が内容を読むことがあるか（yes/no）',
    en: 'may people read prompts to look for abuse (yes/no)',
  }),
  {
    flag: 'posture',
    at: ['residency', 'posture'],
    form: 'text',
    need: 'needed',
    ask: {
      ja: '形態（public は事業者のクラウド、private は自組織の環境、disconnected は網から切り離し）',
      en: 'posture (public: a cloud; private: your own environment; disconnected: no outside network)',
    },
  },
  {
    flag: 'certification',
    at: ['residency', 'certifications'],
    form: 'list',
    need: 'option',
    ask: { ja: '認証（ISMAP など。コンマ区切り）', en: 'certifications, like ISMAP (separated by commas)' },
  },
  fact('legal-basis', 'legalBasis', 'text', {
    ja: '個人データを扱う根拠（個人情報保護法28条: domestic, not-provision, consent, art28-equivalent, designated）',
    en: 'basis for personal data, APPI article 28 (domestic, not-provision, consent, art28-equivalent, designated)',
  }),
  fact('contract', 'contract', 'text', {
    ja: '契約（negotiated は個別契約、click-through は約款への同意のみ、own は自組織の運用）',
    en: 'contract (negotiated; click-through: terms only accepted; own: you run it yourselves)',
  }),
  {
    flag: 'issued',
    at: ['residency', 'issued'],
    form: 'text',
    need: 'needed',
    ask: {
      ja: 'この事実を確かめた日（2026-12-01 の形）',
      en: 'day on which these facts were checked, like 2026-12-01',
    },
  },
  {
    flag: 'expires',
    at: ['residency', 'expires'],
    form: 'text',
    need: 'needed',
    ask: {
      ja: '記録が失効する日。その日から機密性2以上を拒む',
      en: 'day the record expires; from then on nothing above c1 goes',
    },
  },
];

/** What the socket may connect to. */
const NETWORK: readonly Question[] = [
  {
    flag: 'host',
    at: ['network', 'hosts'],
    form: 'list',
    need: 'needed',
    ask: {
      ja: '接続してよいホスト名（URL のホストを含む。コンマ区切り）',
      en: 'hosts it may connect to, that of the url among them (separated by commas)',
    },
  },
  {
    flag: 'address',
    at: ['network', 'addresses'],
    form: 'list',
    need: 'needed',
    ask: {
      ja: '接続してよいアドレスの範囲（203.0.113.0/24 の形。コンマ区切り）',
      en: 'address ranges, like 203.0.113.0/24 (separated by commas)',
    },
  },
  {
    flag: 'pin',
    at: ['network', 'pins'],
    form: 'list',
    need: 'option',
    ask: {
      ja: '証明書の公開鍵の指紋（sha256:…、二つ以上。なければ次で発行者）',
      en: 'pins of its certificate (sha256:…, two at least; else the issuer comes next)',
    },
  },
  {
    flag: 'issuer',
    at: ['network', 'issuer'],
    form: 'text',
    need: 'option',
    ask: { ja: '証明書の発行者の指紋（sha256:…）', en: 'pin of the certificate’s issuer (sha256:…)' },
  },
  {
    flag: 'proxy',
    at: ['network', 'proxy'],
    form: 'text',
    need: 'option',
    ask: {
      ja: '必ず通るプロキシ（http://ホスト:ポート）',
      en: 'a proxy that it must go through (http://host:port)',
    },
  },
];

/** Which questions a provider of this kind has, all without one; a model of this machine has no place of its own. */
export function questionsFor(kind: string | undefined): readonly Question[] {
  if (kind === 'llama') return [...SERVICE.filter(({ flag }) => flag === 'kind'), MODELS];
  const service = kind === undefined || kind === 'azure' ? [...SERVICE, API_VERSION] : SERVICE;
  return [...service, MODELS, ...RECORD, ...NETWORK, HEALTH];
}

const UNKNOWN = new Set(['', 'unknown', '不明']);
const YES = new Set(['yes', 'y', 'true', 'はい']);
const NO = new Set(['no', 'n', 'false', 'いいえ']);

/** The value that the draft holds for an answer; undefined leaves it out. What it means is for the schema to judge. */
export function valueOf({ form, need }: Question, answer: string): unknown {
  const text = answer.trim();
  if (UNKNOWN.has(text.toLowerCase())) return need === 'fact' ? 'unknown' : undefined;
  switch (form) {
    case 'text':
      return text;
    case 'country':
      return text.toUpperCase();
    case 'number':
      return /^\d{1,9}$/.test(text) ? Number(text) : text;
    case 'yes-no':
      return YES.has(text.toLowerCase()) ? true : NO.has(text.toLowerCase()) ? false : text;
    case 'list':
      return listed(text);
    case 'models':
      return Object.fromEntries(listed(text).map((model) => modelOf(model)));
  }
}

function listed(text: string): string[] {
  return text
    .split(/[,、]/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

function modelOf(text: string): [string, { accepts: string }] {
  const at = text.lastIndexOf('=');
  return at === -1 ? [text, { accepts: 'c1' }] : [text.slice(0, at), { accepts: text.slice(at + 1) }];
}
