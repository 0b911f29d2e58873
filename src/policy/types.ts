/** A data label: confidentiality 1 < 2 < 3 and sorted categories. */
export interface Label {
  readonly conf: 1 | 2 | 3;
  readonly categories: readonly Category[];
}

export const CATEGORIES = [
  'export-controlled',
  'financial',
  'health',
  'my-number',
  'personal',
  'source-code',
  'special-care',
] as const;
export type Category = (typeof CATEGORIES)[number];

export type Posture = 'public' | 'private' | 'disconnected';

/** The signed, dated facts about an endpoint; null is unknown, and unknown denies above c1. Country codes ISO 3166-1 alpha-2. */
export interface ResidencyRecord {
  readonly operator: string;
  readonly operatorNationality: string | null;
  readonly inference: string | null;
  readonly storage: string | null;
  readonly logs: string | null;
  readonly support: string | null;
  readonly keyCustody: string | null;
  readonly retentionDays: number | null;
  readonly sku: 'standard' | 'datazone' | 'global' | null;
  readonly training: boolean | null;
  readonly abuseReview: boolean | null;
  readonly posture: Posture;
  readonly certifications: readonly string[];
  readonly evidence: readonly {
    readonly document: string;
    readonly digest: string;
    readonly expires: number;
  }[];
  readonly legalBasis: string | null;
  /** ms since 1970. */
  readonly issued: number;
  readonly expires: number;
  /** True for the implicit record of the site's own machine. */
  readonly selfDeclared: boolean;
}

export interface Reason {
  readonly policy: string;
  readonly ja: string;
  readonly en: string;
}

/** What policy says of one endpoint for one request: a value, never an exception. */
export interface EndpointDecision {
  /** `provider/model` */
  readonly endpoint: string;
  /** Digest of the residency record, `sha256:<hex>`. */
  readonly record: string;
  readonly effect: 'allow' | 'deny';
  /** Ids of the policies that determined it; `default-deny` and `policy-error` are reserved. */
  readonly rules: readonly string[];
  /** Empty when allowed. */
  readonly reasons: readonly Reason[];
  readonly to: {
    readonly endpoint: string;
    readonly operator: string;
    readonly country: string;
    readonly posture: Posture;
    readonly selfDeclared: boolean;
    readonly expires: number;
  } | null;
  /** ms since 1970 from which this decision must be made anew. */
  readonly validUntil: number;
}

export interface CallerFacts {
  readonly id: string;
  readonly tenant: string;
  readonly roles: readonly string[];
}

export interface DecisionInput {
  readonly caller: CallerFacts;
  readonly action: 'infer';
  /** The caller's name of the model. */
  readonly model: string;
  readonly label: Label;
  readonly purpose: string | null;
  /** ms since 1970. */
  readonly now: number;
}
