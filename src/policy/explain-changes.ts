import { contract, legalBasis } from './bundle-schema.ts';
import { NEVER } from './instant.ts';
import { recordAt } from './residency.ts';
import type { ApprovalRule, DecisionInput, Endpoint, Label, ResidencyRecord, SiteFacts } from './types.ts';

/** The facts of one decision at one endpoint. */
export interface Supposed {
  readonly input: DecisionInput;
  readonly endpoint: Endpoint;
  readonly site: SiteFacts;
}

/** One fact that could be otherwise, in words for the person who was denied. */
export interface FactChange {
  readonly fact: string;
  readonly to: string;
  /** `request`: how it is asked. `governance`: what the signed bundle says. */
  readonly scope: 'request' | 'governance';
  readonly ja: string;
  readonly en: string;
  readonly apply: (facts: Supposed) => Supposed;
}

/** What the site knows beside one decision's facts. */
export interface Vocabulary {
  readonly purposes: readonly string[];
  /** What the bundle asks for before a purpose may be used. */
  readonly approval: (purpose: string) => ApprovalRule | null;
  readonly roles: readonly string[];
}

const MAX_PURPOSES = 32;

/** Every fact that could be otherwise, each changed to what a denial is likely to want; the most natural first. */
export function changesOf(facts: Supposed, vocabulary: Vocabulary): readonly FactChange[] {
  return [
    ...labelChanges(facts.input.label),
    ...purposeChanges(facts.input, vocabulary),
    ...approvalChanges(facts.input, vocabulary),
    ...roleChanges(facts.input, vocabulary.roles),
    ...acceptsChanges(facts),
    ...recordChanges(facts),
    ...placeChanges(facts),
  ];
}

function labelChanges(label: Label): FactChange[] {
  const lower = ([2, 1] as const).filter((conf) => conf < label.conf);
  const without = label.categories.map((gone) => label.categories.filter((category) => category !== gone));
  const fewer = label.categories.length > 1 ? [...without, []] : without;
  return [...lower.map(lowered), ...fewer.map(withCategories)];
}

function lowered(conf: Label['conf']): FactChange {
  const to = `c${conf}`;
  return {
    fact: 'label',
    to,
    scope: 'request',
    ja: `データの機密性が ${to} であること（下げられるのは、そのデータがそうである場合だけ）`,
    en: `the data is labelled ${to} (only when that is what the data is)`,
    apply: ({ input, ...rest }) => ({ ...rest, input: { ...input, label: { ...input.label, conf } } }),
  };
}

function withCategories(categories: Label['categories']): FactChange {
  const to = categories.length === 0 ? 'none' : categories.join(',');
  return {
    fact: 'categories',
    to,
    scope: 'request',
    ja: `データの種別が ${categories.length === 0 ? 'ない' : `${to} だけである`}こと（そのデータがそうである場合だけ）`,
    en: `the data has ${categories.length === 0 ? 'no category' : `only the categories ${to}`} (only when that is so)`,
    apply: ({ input, ...rest }) => ({
      ...rest,
      input: { ...input, label: { ...input.label, categories } },
    }),
  };
}

function purposeChanges({ purpose }: DecisionInput, { purposes, approval }: Vocabulary): FactChange[] {
  const others = purposes.filter((listed) => listed !== purpose).slice(0, MAX_PURPOSES);
  return others.map((to) => {
    const rule = approval(to);
    return {
      fact: 'purpose',
      to,
      scope: 'request',
      ja: `用途として ${to} を示すこと（Sekisho-Purpose: ${to}${rule === null ? '' : `。役割 ${rule.role} の鍵による承認が要る`}）`,
      en: `the purpose ${to} is given (Sekisho-Purpose: ${to}${rule === null ? '' : `; needs an approval by a key with the role ${rule.role}`})`,
      apply: ({ input, ...rest }) => ({
        ...rest,
        input: { ...input, purpose: to, approved: rule !== null },
      }),
    };
  });
}

function approvalChanges({ purpose, approved }: DecisionInput, { approval }: Vocabulary): FactChange[] {
  if (purpose === null || approved === true) return [];
  const rule = approval(purpose);
  const words =
    rule === null
      ? {
          scope: 'governance' as const,
          ja: `用途 ${purpose} が承認を要するものとして登録され（site.yaml の approval）、承認されていること`,
          en: `the purpose ${purpose} is listed as needing an approval (approval in site.yaml), and is approved`,
        }
      : {
          scope: 'request' as const,
          ja: `この用途が、役割 ${rule.role} の鍵で承認されていること`,
          en: `the purpose has been approved by a key with the role ${rule.role}`,
        };
  return [
    {
      fact: 'approved',
      to: 'true',
      ...words,
      apply: ({ input, ...rest }) => ({ ...rest, input: { ...input, approved: true } }),
    },
  ];
}

function roleChanges({ caller }: DecisionInput, roles: readonly string[]): FactChange[] {
  const missing = roles.filter((role) => !caller.roles.includes(role));
  return missing.map((role) => ({
    fact: `role ${role}`,
    to: role,
    scope: 'request',
    ja: `鍵が役割 ${role} を持つこと`,
    en: `the key holds the role ${role}`,
    apply: ({ input, ...rest }) => {
      const holder = { ...input.caller, roles: [...input.caller.roles, role] };
      return { ...rest, input: { ...input, caller: holder } };
    },
  }));
}

function acceptsChanges({ input, endpoint }: Supposed): FactChange[] {
  const { conf } = input.label;
  if (endpoint.accepts >= conf) return [];
  const to = `c${conf}`;
  return [
    {
      fact: 'accepts',
      to,
      scope: 'governance',
      ja: `宛先が受け取れる区分（accepts）を ${to} に上げること`,
      en: `the endpoint accepts ${to}`,
      apply: ({ endpoint: old, ...rest }) => ({ ...rest, endpoint: { ...old, accepts: conf } }),
    },
  ];
}

function recordChanges({ input, endpoint, site }: Supposed): FactChange[] {
  const { record } = endpoint;
  if (record === null) return [newRecord(site)];
  const { current, evidence } = recordAt(record, input.now);
  const lapsed = evidence.length < record.evidence.length;
  return [
    ...(current ? [] : [renewed('current', { issued: 0, expires: NEVER })]),
    ...(lapsed
      ? [renewed('evidence', { evidence: record.evidence.map((item) => ({ ...item, expires: NEVER })) })]
      : []),
    ...COUNTRIES.filter(({ name }) => record[name] !== site.jurisdiction).map(({ name, ...words }) =>
      recorded(name, site.jurisdiction, words),
    ),
    ...VALUES.filter(({ name, to }) => record[name] !== to).map(({ name, to, ...words }) =>
      recorded(name, to, words),
    ),
  ];
}

interface Words {
  readonly ja: string;
  readonly en: string;
}

const COUNTRIES = [
  { name: 'inference', ja: '推論の国', en: 'country of inference' },
  { name: 'storage', ja: '保存の国', en: 'country of storage' },
  { name: 'logs', ja: 'ログの国', en: 'country of logs' },
  { name: 'support', ja: '保守要員の国', en: 'country of support staff' },
  { name: 'keyCustody', ja: '鍵を預かる国', en: 'country of key custody' },
  { name: 'operatorNationality', ja: '事業者の国籍', en: 'nationality of the operator' },
] as const;

const VALUES = [
  { name: 'sku', to: 'standard', ja: '契約種別', en: 'deployment SKU' },
  { name: 'training', to: false, ja: '学習への利用', en: 'use for training' },
  { name: 'abuseReview', to: false, ja: '人による監視', en: 'abuse review by people' },
  { name: 'retentionDays', to: 0, ja: '保存日数', en: 'retention in days' },
  ...contract.options.map((to) => ({ name: 'contract', to, ja: '契約の形', en: 'contract' }) as const),
  ...legalBasis.options.map(
    (to) => ({ name: 'legalBasis', to, ja: '法的な根拠', en: 'legal basis' }) as const,
  ),
  { name: 'posture', to: 'private', ja: '接続の形', en: 'posture of the endpoint' },
] as const;

function recorded(name: keyof ResidencyRecord, value: string | number | boolean, words: Words): FactChange {
  const to = String(value);
  return {
    fact: name,
    to,
    scope: 'governance',
    ja: `宛先の記録で${words.ja}（${name}）が ${to} であること`,
    en: `the record says ${words.en} (${name}): ${to}`,
    apply: (facts) => withRecord(facts, { [name]: value }),
  };
}

function renewed(fact: 'current' | 'evidence', change: Partial<ResidencyRecord>): FactChange {
  const what =
    fact === 'current'
      ? { ja: '宛先の記録が有効期間内であること', en: 'the record of the endpoint is not expired' }
      : { ja: '宛先の証拠文書が有効期間内であること', en: 'the evidence of the record is not expired' };
  return { fact, to: 'true', scope: 'governance', ...what, apply: (facts) => withRecord(facts, change) };
}

function withRecord({ endpoint, ...rest }: Supposed, change: Partial<ResidencyRecord>): Supposed {
  const { record } = endpoint;
  return record === null
    ? { ...rest, endpoint }
    : { ...rest, endpoint: { ...endpoint, record: { ...record, ...change } } };
}

function newRecord({ jurisdiction }: SiteFacts): FactChange {
  const record: ResidencyRecord = {
    operator: 'supposed',
    operatorNationality: jurisdiction,
    inference: jurisdiction,
    storage: jurisdiction,
    logs: jurisdiction,
    support: jurisdiction,
    keyCustody: jurisdiction,
    retentionDays: 0,
    sku: 'standard',
    training: false,
    abuseReview: false,
    posture: 'private',
    certifications: [],
    evidence: [],
    legalBasis: 'domestic',
    contract: 'negotiated',
    issued: 0,
    expires: NEVER,
    selfDeclared: false,
  };
  return {
    fact: 'record',
    to: jurisdiction,
    scope: 'governance',
    ja: `宛先に、すべてが ${jurisdiction} 国内にあると言う有効な記録があること`,
    en: `the endpoint has a current record that places everything in ${jurisdiction}`,
    apply: ({ endpoint, ...rest }) => ({ ...rest, endpoint: { ...endpoint, record } }),
  };
}

function placeChanges({ endpoint, site }: Supposed): FactChange[] {
  const changes: FactChange[] = [];
  if (site.posture === 'disconnected')
    changes.push({
      fact: 'site.posture',
      to: 'private',
      scope: 'governance',
      ja: '拠点を外部とつないで（private で）運用すること',
      en: 'the site runs connected (posture private)',
      apply: ({ site: old, ...rest }) => ({ ...rest, site: { ...old, posture: 'private' } }),
    });
  if (!endpoint.ownMachine)
    changes.push({
      fact: 'ownMachine',
      to: 'true',
      scope: 'governance',
      ja: '同じ機械の上のモデルで応じること',
      en: 'the model is served on this machine',
      apply: ({ endpoint: old, ...rest }) => ({ ...rest, endpoint: { ...old, ownMachine: true } }),
    });
  return changes;
}
