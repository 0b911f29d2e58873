export const ROLES = ['admin', 'operator', 'policy-signer', 'auditor', 'owner', 'caller'] as const;
export type Role = (typeof ROLES)[number];

/** Who asks: the key, its organisation and what it may do. */
export interface Caller {
  /** Stable id of the key, `k_…`. */
  readonly id: string;
  /** Stable id of the organisation, `o_…`. */
  readonly tenant: string;
  readonly roles: readonly Role[];
}

/** An organisation. Times in ms since 1970. */
export interface Tenant {
  readonly id: string;
  readonly name: string;
  readonly created: number;
}

/** What is known of a key; the key itself is known to its holder only. Times in ms since 1970. */
export interface KeyFacts {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly origin: KeyOrigin;
  readonly created: number;
  readonly expires: number | null;
  readonly revoked: number | null;
}

/** `first-start` lies in DATA/admin-key, `environment` counts while SEKISHO_ADMIN_KEY holds it. */
export type KeyOrigin = 'issued' | 'first-start' | 'environment';
