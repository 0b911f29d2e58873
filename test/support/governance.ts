import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';

/** The drafts of a governance folder; what is left out is not written. */
export interface GovernanceDrafts {
  readonly site?: Readonly<Record<string, unknown>>;
  readonly providers: readonly ({ readonly id: string } & Readonly<Record<string, unknown>>)[];
  readonly models: Readonly<Record<string, unknown>>;
  /** File names without `.cedar`, each with its text. */
  readonly policies?: Readonly<Record<string, string>>;
}

export interface LoopbackProvider {
  readonly id: string;
  /** Of the provider, without a version part. */
  readonly url: string;
  /** Provider's names of models, each with the highest label it may receive. */
  readonly models: Readonly<Record<string, 'c1' | 'c2' | 'c3'>>;
  /** ISO 3166-1 alpha-2; JP unless told. */
  readonly country?: string;
  readonly secret?: string;
  /** Members of the draft to set or, with undefined, to leave out. */
  readonly residency?: Readonly<Record<string, unknown>>;
  readonly network?: Readonly<Record<string, unknown>>;
}

/** Writes `site.yaml`, `providers/*.yaml`, `models.yaml` and `policies/*.cedar` below `folder`. */
export function writeGovernance(folder: string, drafts: GovernanceDrafts): void {
  const site = {
    name: 'localhost/test',
    jurisdiction: 'JP',
    posture: 'private',
    label: 'c2',
    ...drafts.site,
  };
  write(folder, 'site.yaml', stringify(site));
  write(folder, 'models.yaml', stringify(drafts.models));
  for (const provider of drafts.providers)
    write(folder, path.join('providers', `${provider.id}.yaml`), stringify(provider));
  for (const [name, text] of Object.entries(drafts.policies ?? {}))
    write(folder, path.join('policies', `${name}.cedar`), text);
}

/** The draft of an OpenAI provider on loopback, all of whose facts lie in one country. */
export function loopbackProvider(options: LoopbackProvider): GovernanceDrafts['providers'][number] {
  const country = options.country ?? 'JP';
  return {
    id: options.id,
    kind: 'openai',
    url: `${options.url}/v1`,
    ...(options.secret === undefined ? {} : { secret: options.secret }),
    models: Object.fromEntries(Object.entries(options.models).map(([name, accepts]) => [name, { accepts }])),
    residency: {
      operator: `${options.id} operator`,
      operatorNationality: country,
      inference: country,
      storage: country,
      logs: country,
      support: country,
      keyCustody: country,
      retentionDays: 0,
      sku: 'standard',
      training: false,
      abuseReview: false,
      posture: 'public',
      issued: '2026-01-01',
      expires: '2036-01-01',
      ...options.residency,
    },
    network: { hosts: [new URL(options.url).hostname], addresses: ['127.0.0.0/8'], ...options.network },
  };
}

function write(folder: string, name: string, text: string): void {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
