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
