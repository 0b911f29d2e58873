import { HOUR } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Caller, Role } from './types.ts';

/** A permission to use models for a purpose that needs one. Times in ms since 1970. */
export interface ApprovalFacts {
  readonly id: string;
  readonly purpose: string;
  /** The role in which it was given. */
  readonly role: Role;
  /** The key that gave it. */
  readonly giver: string;
  /** The organisation that may use it, and, unless null, the one key of it that may. */
  readonly tenant: string;
  readonly caller: string | null;
  /** For people; it never enters the log. */
  readonly reason: string | null;
  readonly created: number;
  readonly until: number;
  readonly revoked: number | null;
  readonly state: 'live' | 'expired' | 'revoked';
}

/** What the log gets of an approval; docs/ledger.md has the members. */
export type ApprovalLeaf = { readonly kind: 'control'; readonly id: string } & (
  | {
      readonly event: 'approval';
      readonly approval: string;
      readonly purpose: string;
      readonly role: Role;
      readonly by: string;
      readonly tenant: string;
      readonly caller: string | null;
      readonly until: number;
    }
  | { readonly event: 'approval-revoked'; readonly approval: string; readonly by: string }
);

/** What the running bundle asks for: a key with this role, and at most these hours. */
export interface ApprovalTerms {
  readonly role: Role;
  readonly hours: number;
}

/** A request that needs an approval. `now` in ms since 1970. */
export interface ApprovalQuestion {
  readonly caller: { readonly id: string; readonly tenant: string };
  readonly purpose: string;
  readonly terms: ApprovalTerms;
  readonly now: number;
}

/** Roles that look after the whole site and may see every approval of it. */
const SITE_WIDE: readonly Role[] = ['admin', 'operator', 'policy-signer', 'auditor'];

/**
 * Whether an approval carries the request. It is judged by the terms of today's bundle, so that stricter ones take hold
 * at once, and never carries the key that gave it.
 */
export function carries(approval: Omit<ApprovalFacts, 'state'>, question: ApprovalQuestion): boolean {
  const { caller, purpose, terms, now } = question;
  return (
    approval.purpose === purpose &&
    approval.revoked === null &&
    approval.role === terms.role &&
    approval.tenant === caller.tenant &&
    (approval.caller === null || approval.caller === caller.id) &&
    approval.giver !== caller.id &&
    now < Math.min(approval.until, approval.created + terms.hours * HOUR)
  );
}

/** Whether a key may know of an approval: it looks after the site, owns the organisation, or could use it. */
export function mayRead(reader: Caller, approval: Omit<ApprovalFacts, 'state'>): boolean {
  if (reader.roles.some((role) => SITE_WIDE.includes(role))) return true;
  if (approval.tenant !== reader.tenant) return false;
  return reader.roles.includes('owner') || approval.caller === null || approval.caller === reader.id;
}

/**
 * Holds a key to the role that gives, or takes back, an approval. An owner speaks for the own organisation only.
 * @throws Fault `identity.role_needed`, `identity.other_organisation`
 */
export function checkGiver(giver: Caller, role: Role, tenant: string): void {
  if (!giver.roles.includes(role))
    throw new Fault('denied', 'identity.role_needed', `this needs the role ${role}`, { details: { role } });
  if (role === 'owner' && giver.tenant !== tenant)
    throw new Fault('denied', 'identity.other_organisation', 'an owner approves for the own organisation');
}

/** @throws Fault `identity.invalid` */
export function readHours(hours: number | null, limit: number): number {
  const wanted = hours ?? limit;
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= limit) return wanted;
  const message = `hours: expected 1 to ${limit}, the most that the bundle allows for this purpose`;
  throw new Fault('invalid', 'identity.invalid', message, { details: { what: 'hours', limit } });
}

/** @throws Fault `identity.invalid` */
export function readReason(reason: string | null): string | null {
  if (reason === null || (reason.isWellFormed() && /^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u.test(reason)))
    return reason;
  const message = 'reason: expected 1 to 256 printable characters';
  throw new Fault('invalid', 'identity.invalid', message, { details: { what: 'reason' } });
}
