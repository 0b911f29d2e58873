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
  /** How the service was agreed on; `own` when the organisation runs it itself. Absent in bundles that predate it. */
  readonly contract?: 'negotiated' | 'click-through' | 'own' | null;
  /** ms since 1970. */
  readonly issued: number;
  readonly expires: number;
  /** True for the implicit record of the site's own machine. */
  readonly selfDeclared: boolean;
}

/** Why an endpoint was denied, for the person who was denied. */
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
  /** A live approval of this purpose covers the caller; absent is no. */
  readonly approved?: boolean;
  /** ms since 1970. */
  readonly now: number;
}

/** Yen a million tokens, in millionths of a yen so that a canonical bundle holds integers. */
export interface Price {
  readonly in: number;
  readonly out: number;
}

/** One model at one provider; `upstream` is the provider's own name of it. */
export interface ProviderModel {
  readonly accepts: 1 | 2 | 3;
  readonly upstream: string;
  readonly price: Price | null;
}

/** The network facts of a provider; the egress room enforces them on the socket. */
export interface ProviderNetwork {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly pins: readonly string[];
  readonly issuer: string | null;
  readonly proxy: string | null;
}

/**
 * What a provider may be asked for beside an answer to the body itself. Whatever is not said here is refused, so a
 * provider without these rules keeps nothing, runs nothing and fetches nothing on a caller's word.
 */
export interface BodyRules {
  /** It may keep chats: `store`. */
  readonly store: boolean;
  /** It may keep parts of prompts to answer later ones faster: `prompt_cache_*`. */
  readonly caches: boolean;
  /** It may be told a caller's `metadata`. */
  readonly metadata: boolean;
  /** It may be pointed to files that it holds, or be sent files as such. */
  readonly files: boolean;
  /** The kinds of tools that it may run itself, such as `web_search`. */
  readonly tools: readonly string[];
  /** The hosts from which it may fetch what a URL names, over https. */
  readonly urls: readonly string[];
}

/** A provider as the bundle holds it; url and network are null exactly for a model run by this machine. */
export interface Provider {
  readonly id: string;
  readonly kind: string;
  readonly url: string | null;
  /** The name of a secret of the process configuration. */
  readonly secret: string | null;
  /** The version of the provider's interface, for a kind that has several. */
  readonly apiVersion?: string | undefined;
  /** Path and query of a GET by which the site asks whether the provider is well; absent is never asked. */
  readonly health?: string | undefined;
  /** Absent says that nothing of it is allowed. */
  readonly body?: BodyRules | undefined;
  readonly models: Readonly<Record<string, ProviderModel>>;
  readonly residency: ResidencyRecord | null;
  readonly network: ProviderNetwork | null;
}

export const STRATEGIES = ['order', 'weighted', 'cheapest', 'fastest', 'balanced'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** A callers' name of a model: where it may be served, and the floor of its label (null: the site's). */
export interface ModelRoute {
  readonly from: readonly { readonly endpoint: string; readonly weight: number }[];
  readonly strategy: Strategy;
  readonly label: Label | null;
}

/** The public keys (C2SP vkeys) that may sign the next bundle, and how many of them it takes. */
export interface Signers {
  readonly threshold: number;
  readonly keys: readonly string[];
}

export interface SiteFacts {
  /** Also the first part of the log's origin. */
  readonly name: string;
  readonly jurisdiction: string;
  readonly posture: Posture;
  readonly label: Label | null;
  readonly packs: readonly string[];
}

/** A policy test: what the decisions for one request must be. `at` in ms since 1970, null for now. */
export interface PolicyTest {
  readonly name: string;
  readonly model: string;
  readonly roles: readonly string[];
  /** As the header `Sekisho-Label` gives it. */
  readonly label: string | null;
  readonly purpose: string | null;
  /** The purpose has been approved for who asks; absent is no. */
  readonly approved?: boolean;
  readonly at: number | null;
  readonly allow: readonly string[];
  /** Rules that must be among those that deny, by endpoint. */
  readonly deny: Readonly<Record<string, readonly string[]>>;
}

/** The roles whose keys may be asked for an approval; the server's tests hold the list to the roles that keys have. */
export const APPROVING_ROLES = ['admin', 'operator', 'policy-signer', 'auditor', 'owner', 'caller'] as const;
export type ApprovingRole = (typeof APPROVING_ROLES)[number];

/** Who must have approved a use before it goes on, and for how many hours at most an approval may hold. */
export interface ApprovalRule {
  readonly role: ApprovingRole;
  readonly hours: number;
}

/** A use of models that the bundle lists, with its name for people; no approval needed when `approval` is null. */
export interface Purpose {
  readonly id: string;
  readonly title: { readonly ja: string; readonly en: string };
  readonly approval: ApprovalRule | null;
}

/** As a bundle lists it; an id alone has no title and needs no approval. */
export type ListedPurpose = string | Purpose;

/** What the drafts of a governance folder say, before they become a version of the bundle. */
export interface Drafts {
  readonly site: SiteFacts;
  /** Null leaves the signers of the running bundle as they are. */
  readonly signers: Signers | null;
  readonly providers: readonly Provider[];
  readonly models: Readonly<Record<string, ModelRoute>>;
  readonly purposes: readonly ListedPurpose[];
  readonly policies: Readonly<Record<string, string>>;
  readonly packs: Readonly<Record<string, { readonly policies: Readonly<Record<string, string>> }>>;
  readonly tests: readonly PolicyTest[];
}

/** Everything that is allowed, as one value; its canonical JSON is what is hashed and signed. */
export interface Bundle {
  readonly v: 1;
  readonly kind: 'governance';
  readonly version: number;
  readonly site: SiteFacts & { readonly signers: Signers };
  readonly providers: readonly Provider[];
  readonly models: Readonly<Record<string, ModelRoute>>;
  readonly purposes: readonly ListedPurpose[];
  readonly policies: Readonly<Record<string, string>>;
  readonly packs: Drafts['packs'];
  readonly tests: readonly PolicyTest[];
  /** The digest of each part, `sha256:<hex>`, so that two bundles can be compared part by part. */
  readonly digests: Readonly<Record<string, string>>;
}

/** One model served at one provider in one place: all that routing, adapters and egress need to know of it. */
export interface Endpoint {
  /** `provider/model` */
  readonly id: string;
  readonly provider: string;
  /** Which adapter speaks to it. */
  readonly kind: string;
  /** The provider's own name of the model. */
  readonly upstream: string;
  readonly accepts: 1 | 2 | 3;
  /** The name of a secret of the process configuration. */
  readonly secret: string | null;
  /** The version of the provider's interface; null where the record names none. */
  readonly apiVersion: string | null;
  readonly body: BodyRules;
  readonly price: Price | null;
  /** The shape that the egress room takes; null for a model run by this machine. */
  readonly network: (ProviderNetwork & { readonly endpoint: string; readonly url: string }) | null;
  /** Its traffic cannot leave this machine: run by it, or every allowed address is loopback and there is no proxy. */
  readonly ownMachine: boolean;
  /** The implicit record when the model is run by this machine; null when there is none. */
  readonly record: ResidencyRecord | null;
  /** `sha256:<hex>` of the record's canonical JSON, of `null` when there is none. */
  readonly recordDigest: string;
}

export interface RoutedModel {
  readonly name: string;
  readonly strategy: Strategy;
  /** The floor, with the site's and the default applied. */
  readonly floor: Label;
  /** In the bundle's order. */
  readonly from: readonly { readonly endpoint: Endpoint; readonly weight: number }[];
}

/** What a request's label is; `downgrade` when it asked for less than the floor, which then is `label`. */
export type LabelAnswer =
  | { readonly kind: 'label'; readonly label: Label }
  | { readonly kind: 'downgrade'; readonly label: Label; readonly asked: Label };

/** The decisions for every endpoint of a model name, allowed ones and denied ones, in the bundle's order. */
export interface Plan {
  readonly model: 'known' | 'unknown';
  readonly decisions: readonly EndpointDecision[];
}

/** One bundle, ready to decide. */
export interface PolicyEngine {
  /** `sha256:<hex>` of the bundle's canonical JSON. */
  readonly hash: string;
  readonly bundle: Bundle;
  /** In the order of their names. */
  readonly models: readonly RoutedModel[];
  /** In the bundle's order. */
  readonly endpoints: readonly Endpoint[];
  model(name: string): RoutedModel | null;
  endpoint(id: string): Endpoint | null;
  purposeListed(purpose: string): boolean;
  /** Null for a purpose that needs no approval, and for one that is not listed. */
  approval(purpose: string): ApprovalRule | null;
  /**
   * The label of a request: the floor of the model's name, raised by the header. Null when no such name exists.
   * @throws Fault kind `invalid` code `policy.label` when the header is malformed.
   */
  label(model: string, header: string | null): LabelAnswer | null;
  /** Never throws: what cannot be decided is denied. */
  plan(input: DecisionInput): Plan;
  /** The decision if the endpoint, and the site, were as told; never memoised, for nothing runs like this. */
  probe(
    input: DecisionInput,
    supposed: { readonly endpoint: Endpoint; readonly site: SiteFacts },
  ): EndpointDecision;
}
