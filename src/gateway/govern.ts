import type { BundleGate } from '../crossing/bundle-gate.ts';
import { Road, type RoadRequest } from '../crossing/road.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { Fault } from '../core/fault.ts';
import type { ApprovalQuestion } from '../identity/approval.ts';
import type { Ledger } from '../ledger/types.ts';
import { labelToHeader } from '../policy/labels.ts';
import { purposeIds } from '../policy/purposes.ts';
import type { MadeDecision } from '../policy/replay.ts';
import type { ApprovalRule, EndpointDecision, Label, PolicyEngine, RoutedModel } from '../policy/types.ts';
import { approvalRequired } from './approval.ts';
import type { Endpoint } from './endpoint.ts';
import { errorBody, JSON_TYPE, type SurfaceError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { Surface } from './dispatch/operation.ts';
import type { Router } from './routing/router.ts';

/** What every surface needs to take a request down the road. */
export interface Gateway {
  readonly ledger: Ledger;
  /** Lets the running bundle decide, and no other. */
  readonly gate: BundleGate;
  readonly world: World;
  readonly log: Log;
  /** The engine of the running bundle. */
  policy(): PolicyEngine;
  /** The endpoint of an id that the running bundle names. */
  endpoint(id: string): Endpoint;
  /** Who is where, and what is left alone; outlives bundles. */
  readonly router: Router;
  /** Whether an approval carries a request for a purpose that needs one; from memory. */
  approved(question: ApprovalQuestion): boolean;
  /** Hears of each road's first decision once it is durable; takes no time and never throws. */
  decided(decision: MadeDecision): void;
}

/** A request that policy allows somewhere: its road is open, nothing has left. */
export interface Governed {
  readonly road: Road;
  readonly label: Label;
  readonly model: RoutedModel;
  /** In the bundle's order; never empty. */
  readonly allowed: readonly EndpointDecision[];
}

/** A denial that was not recorded yet. */
interface Denial {
  readonly road: Road;
  readonly error: SurfaceError;
}

/**
 * Labels and decides. A denial is recorded and answered here, and null returned.
 * @throws Fault `gateway.model_not_found`, `gateway.deployment_not_found`, `policy.label`, and `ledger.*` when a denial cannot be recorded.
 */
export async function govern(
  gateway: Gateway,
  exchange: Exchange,
  asked: { surface: Surface; model: string },
): Promise<Governed | null> {
  const verdict = decide(gateway, exchange, asked);
  if (!('error' in verdict)) return verdict;
  await verdict.road.deny();
  const headers = { ...governedHeaders(verdict.road, exchange), ...verdict.error.headers };
  exchange.reply.head(verdict.error.status, { ...headers, 'content-type': JSON_TYPE });
  exchange.reply.end(errorBody(verdict.error));
  return null;
}

function decide(
  gateway: Gateway,
  exchange: Exchange,
  asked: { surface: Surface; model: string },
): Governed | Denial {
  const engine = gateway.policy();
  const labelled = engine.label(asked.model, exchange.header('sekisho-label'));
  const model = engine.model(asked.model);
  if (labelled === null || model === null)
    throw asked.surface === 'azure' ? deploymentNotFound(asked.model) : modelNotFound(asked.model);
  const { label } = labelled;
  const purpose = exchange.header('sekisho-purpose');
  const purposeKnown = purpose === null || engine.purposeListed(purpose);
  const { caller } = exchange;
  const { now, rule, approved } = approvalOf(gateway, exchange, engine);
  const open = (considered: readonly EndpointDecision[]): Road => {
    const request: RoadRequest = {
      ...asked,
      rid: gateway.world.ids.receipt(),
      action: 'infer',
      caller,
      label,
      purpose: purposeKnown ? purpose : null,
      input: exchange.body,
      bundle: engine.hash,
      gate: gateway.gate,
      considered,
    };
    return new Road(gateway.ledger, request, (endpoint) =>
      gateway.decided({
        rid: request.rid,
        t: now,
        bundle: request.bundle,
        model: request.model,
        header: exchange.header('sekisho-label'),
        label,
        purpose: request.purpose,
        unlisted: !purposeKnown,
        approved,
        caller,
        endpoint,
      }),
    );
  };
  if (labelled.kind === 'downgrade') return { road: open([]), error: labelDowngrade(label) };
  if (!purposeKnown) return { road: open([]), error: unknownPurpose(purposeIds(engine.bundle.purposes)) };
  if (purpose !== null && rule !== null && !approved) {
    const road = open([]);
    return { road, error: approvalRequired({ decision: road.rid, purpose, rule, caller: caller.id }) };
  }
  const { decisions } = engine.plan({
    caller,
    action: 'infer',
    model: asked.model,
    label,
    purpose,
    approved,
    now,
  });
  const road = open(decisions);
  const allowed = decisions.filter((decision) => decision.effect === 'allow');
  if (allowed.length === 0) return { road, error: policyViolation(road, decisions) };
  return { road, label, model, allowed };
}

// The rule is that of the bundle that decides, so that a request is never judged by two.
function approvalOf(
  gateway: Gateway,
  exchange: Exchange,
  engine: PolicyEngine,
): { now: number; rule: ApprovalRule | null; approved: boolean } {
  const now = gateway.world.clock.now();
  const { caller } = exchange;
  const purpose = exchange.header('sekisho-purpose');
  const terms = purpose === null ? null : engine.approval(purpose);
  if (purpose === null || terms === null) return { now, rule: null, approved: false };
  return { now, rule: terms, approved: gateway.approved({ caller, purpose, terms, now }) };
}

/** The headers of every reply that has a leaf. `endpoint` once dispatched. */
export function governedHeaders(road: Road, exchange: Exchange, endpoint?: string): Record<string, string> {
  const echoed = exchange.header('sekisho-request-id');
  return {
    'sekisho-receipt': road.rid,
    'sekisho-label': labelToHeader(road.request.label),
    'x-request-id': road.rid,
    'apim-request-id': road.rid,
    ...(endpoint === undefined ? {} : { 'sekisho-endpoint': endpoint }),
    ...(echoed === null ? {} : { 'sekisho-request-id': echoed }),
  };
}

export function deploymentNotFound(name: string): Fault {
  const message = `the deployment ${JSON.stringify(name)} does not exist`;
  return new Fault('missing', 'gateway.deployment_not_found', message, { details: { param: 'model' } });
}

export function modelNotFound(model: string): Fault {
  return new Fault(
    'missing',
    'gateway.model_not_found',
    `the model ${JSON.stringify(model)} does not exist`,
    {
      details: { param: 'model' },
    },
  );
}

function labelDowngrade(label: Label): SurfaceError {
  return {
    status: 400,
    code: 'label_downgrade',
    message: `the header Sekisho-Label may raise the label ${labelToHeader(label)}, not lower it`,
    param: 'Sekisho-Label',
  };
}

function unknownPurpose(known: readonly string[]): SurfaceError {
  const list = known.length === 0 ? 'none is listed' : `listed are: ${known.join(', ')}`;
  return {
    status: 400,
    code: 'unknown_purpose',
    message: `the header Sekisho-Purpose names no purpose of the running bundle; ${list}`,
    param: 'Sekisho-Purpose',
  };
}

function policyViolation(road: Road, decisions: readonly EndpointDecision[]): SurfaceError {
  const reasons = decisions.flatMap(({ endpoint, reasons }) =>
    reasons.map(({ policy, ja, en }) => ({ endpoint, policy, ja, en })),
  );
  const label = labelToHeader(road.request.label);
  return {
    status: 403,
    code: 'residency_policy_violation',
    message: `policy allows no endpoint of this model for data labelled ${label}; see innererror.reasons`,
    param: null,
    innererror: { decision_id: road.rid, label, reasons },
  };
}
