import { bundleHash } from './bundle.ts';
import { routedModels, type Routing } from './endpoints.ts';
import { cedarQuestion } from './facts.ts';
import { raiseLabel } from './labels.ts';
import { IntervalMemo } from './memo.ts';
import { loadPolicySet, type PolicySet, type Verdict } from './policy-set.ts';
import { approvalRules, purposeIds } from './purposes.ts';
import { destination, recordAt } from './residency.ts';
import {
  CATEGORIES,
  type Bundle,
  type DecisionInput,
  type Endpoint,
  type EndpointDecision,
  type Plan,
  type PolicyEngine,
  type Reason,
  type RoutedModel,
  type SiteFacts,
} from './types.ts';

/** Decisions held at most; one is some hundred bytes. */
const MEMO_DECISIONS = 20_000;
const MAX_KEY_CHARS = 1024;
/** So that a decision leaf with 32 endpoints stays below the 65,535 bytes of a log entry. */
const MAX_RULES = 16;

const UNKNOWN_MODEL: Plan = Object.freeze({ model: 'unknown', decisions: Object.freeze([]) });

const DEFAULT_DENY: Reason = Object.freeze({
  policy: 'default-deny',
  ja: 'この要求を許可する規則がありません。管理者に、必要な用途とデータの区分を伝えてください。',
  en: 'No rule permits this request. Tell the administrator which use and which label of data you need.',
});
const POLICY_ERROR: Reason = Object.freeze({
  policy: 'policy-error',
  ja: '規則を評価できなかったため、安全側に倒して拒否しました。管理者に連絡してください。',
  en: 'A rule could not be evaluated, so the request was denied to be safe. Please tell the administrator.',
});

/**
 * A bundle made ready to decide; decisions are memoised while the facts they used hold.
 * @throws Fault kind `invalid` code `policy.invalid` naming the policy that cannot run.
 */
export function createPolicyEngine(bundle: Bundle): PolicyEngine {
  const hash = bundleHash(bundle);
  const policies = loadPolicySet(bundle, hash);
  const routing = routedModels(bundle);
  const memo = new IntervalMemo<Plan>(MEMO_DECISIONS);
  const purposes = new Set(purposeIds(bundle.purposes));
  const approvals = approvalRules(bundle.purposes);
  return {
    hash,
    bundle,
    models: routing.models,
    endpoints: routing.endpoints,
    model: (name) => routing.model.get(name) ?? null,
    endpoint: (id) => routing.endpoint.get(id) ?? null,
    purposeListed: (purpose) => purposes.has(purpose),
    approval: (purpose) => approvals.get(purpose) ?? null,
    label: (model, header) => {
      const routed = routing.model.get(model);
      return routed === undefined ? null : raiseLabel(routed.floor, header);
    },
    plan: (input) => plan({ bundle, policies, routing, memo, purposes }, input),
    probe: (input, { endpoint, site }) => {
      const refusal = refusalOf(purposes, input);
      return refusal === null ? decide({ site, policies }, input, endpoint) : denied(endpoint, [refusal], 0);
    },
  };
}

interface Parts {
  readonly bundle: Bundle;
  readonly policies: PolicySet;
  readonly routing: Routing;
  readonly memo: IntervalMemo<Plan>;
  readonly purposes: ReadonlySet<string>;
}

function plan(parts: Parts, input: DecisionInput): Plan {
  const routed = parts.routing.model.get(input.model);
  if (routed === undefined) return UNKNOWN_MODEL;
  const refusal = refusalOf(parts.purposes, input);
  if (refusal !== null) return planOf(routed, (endpoint) => denied(endpoint, [refusal], 0));
  const key = memoKey(input);
  const held = parts.memo.get(key, input.now);
  if (held !== undefined) return held;
  const { policies, bundle } = parts;
  const decided = planOf(routed, (endpoint) => decide({ policies, site: bundle.site }, input, endpoint));
  if (key.length <= MAX_KEY_CHARS)
    parts.memo.set(key, decided, { ...validity(routed, input.now), weight: routed.from.length });
  return decided;
}

function planOf(routed: RoutedModel, decision: (endpoint: Endpoint) => EndpointDecision): Plan {
  const decisions = routed.from.map(({ endpoint }) => decision(endpoint));
  return Object.freeze({ model: 'known', decisions: Object.freeze(decisions) });
}

// Cedar never sees facts outside the schema's words, and what is not memoised cannot fill the memo.
function refusalOf(purposes: ReadonlySet<string>, { label, purpose, now }: DecisionInput): Reason | null {
  const sound =
    (label.conf === 1 || label.conf === 2 || label.conf === 3) &&
    label.categories.every((category) => CATEGORIES.includes(category)) &&
    Number.isSafeInteger(now);
  if (!sound) return POLICY_ERROR;
  return purpose === null || purposes.has(purpose) ? null : DEFAULT_DENY;
}

function decide(
  { site, policies }: { readonly site: SiteFacts; readonly policies: PolicySet },
  input: DecisionInput,
  endpoint: Endpoint,
): EndpointDecision {
  const { until } = recordAt(endpoint.record, input.now);
  const verdict = policies.evaluate(cedarQuestion(site, input, endpoint));
  if (verdict.effect === 'allow') return allowed(endpoint, verdict, until);
  return denied(endpoint, reasonsOf(policies, verdict), until);
}

function reasonsOf(policies: PolicySet, verdict: Verdict): readonly Reason[] {
  const reasons = verdict.policies.flatMap((id) => policies.reasons.get(id) ?? []);
  if (verdict.effect === 'error') reasons.unshift(POLICY_ERROR);
  return reasons.length === 0 ? [DEFAULT_DENY] : reasons.slice(0, MAX_RULES);
}

function allowed(endpoint: Endpoint, verdict: Verdict, validUntil: number): EndpointDecision {
  return Object.freeze({
    endpoint: endpoint.id,
    record: endpoint.recordDigest,
    effect: 'allow',
    rules: Object.freeze(verdict.policies.slice(0, MAX_RULES)),
    reasons: Object.freeze([]),
    to: destination(endpoint),
    validUntil,
  });
}

function denied(endpoint: Endpoint, reasons: readonly Reason[], validUntil: number): EndpointDecision {
  return Object.freeze({
    endpoint: endpoint.id,
    record: endpoint.recordDigest,
    effect: 'deny',
    rules: Object.freeze(reasons.map(({ policy }) => policy)),
    reasons: Object.freeze([...reasons]),
    to: null,
    validUntil,
  });
}

function validity(routed: RoutedModel, now: number): { from: number; until: number } {
  const moments = routed.from.map(({ endpoint }) => recordAt(endpoint.record, now));
  return {
    from: Math.max(...moments.map(({ from }) => from)),
    until: Math.min(...moments.map(({ until }) => until)),
  };
}

// Every part is preceded by its length, so that no choice of names makes two inputs share a key.
function memoKey({ caller, action, model, label, purpose, approved = false }: DecisionInput): string {
  let key = `${action}${approved ? '+' : '-'}${label.conf}${label.categories.length}`;
  for (const category of label.categories) key += `,${category}`;
  key += `|${model.length}:${model}${caller.id.length}:${caller.id}${caller.tenant.length}:${caller.tenant}`;
  for (const role of caller.roles) key += `${role.length}:${role}`;
  return purpose === null ? key : `${key}|${purpose.length}:${purpose}`;
}
