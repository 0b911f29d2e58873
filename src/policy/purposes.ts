import type { ApprovalRule, ListedPurpose } from './types.ts';

/** The ids that callers may name, in the bundle's order. */
export function purposeIds(purposes: readonly ListedPurpose[]): string[] {
  return purposes.map((purpose) => (typeof purpose === 'string' ? purpose : purpose.id));
}

/** By purpose, for those that need an approval. */
export function approvalRules(purposes: readonly ListedPurpose[]): ReadonlyMap<string, ApprovalRule> {
  const rules = new Map<string, ApprovalRule>();
  for (const purpose of purposes)
    if (typeof purpose !== 'string' && purpose.approval !== null) rules.set(purpose.id, purpose.approval);
  return rules;
}
