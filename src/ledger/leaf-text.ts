import { canonicalJson, type Json } from '../core/canonical-json.ts';
import { Fault } from '../core/fault.ts';
import type { DecisionLeaf, LeafConsidered, LeafDestination, OutcomeLeaf } from './leaf.ts';

/*
 * The canonical text of a road's leaves, two a request. Their members are known, so that they are put in order here and
 * written by the runtime, which costs a third of walking and sorting what may be anything.
 */

export function decisionText(leaf: DecisionLeaf): string {
  const { c, label } = leaf;
  return text({
    action: leaf.action,
    attempt: integer(leaf.attempt),
    bundle: leaf.bundle,
    c: { caller: c.caller, in: c.in, req: c.req, tenant: c.tenant },
    considered: leaf.considered.map(considered),
    effect: leaf.effect,
    kind: leaf.kind,
    label: { categories: label.categories, conf: integer(label.conf) },
    log: leaf.log,
    model: leaf.model,
    prev: leaf.prev === null ? null : integer(leaf.prev),
    purpose: leaf.purpose,
    rid: leaf.rid,
    surface: leaf.surface,
    t: integer(leaf.t),
    to: leaf.to === null ? null : destination(leaf.to),
    v: leaf.v,
  });
}

export function outcomeText(leaf: OutcomeLeaf): string {
  const { observed, attempts } = leaf;
  return text({
    attempt: integer(leaf.attempt),
    ...(attempts === undefined ? {} : { attempts: integer(attempts) }),
    c: { peer: leaf.c.peer, res: leaf.c.res },
    code: leaf.code,
    http: leaf.http === null ? null : integer(leaf.http),
    in: integer(leaf.in),
    kind: leaf.kind,
    observed: observed === null ? null : { connectMs: integer(observed.connectMs), spki: observed.spki },
    of: integer(leaf.of),
    out: integer(leaf.out),
    rid: leaf.rid,
    status: leaf.status,
    t: integer(leaf.t),
    v: leaf.v,
  });
}

// The endpoints come with more than the log shows of them.
function considered({ effect, endpoint, record, rules }: LeafConsidered): Json {
  return { effect, endpoint, record, rules };
}

function destination(to: LeafDestination): Json {
  const { country, endpoint, expires, operator, posture, selfDeclared } = to;
  return { country, endpoint, expires: integer(expires), operator, posture, selfDeclared };
}

/** `ordered` has its members in the order of RFC 8785 and no number but safe integers. */
function text(ordered: { readonly [name: string]: Json }): string {
  const written = JSON.stringify(ordered);
  // The runtime writes a lone surrogate as \ud800 to \udfff, where RFC 8785 refuses; the long way tells which it is.
  return written.includes('\\ud') ? canonicalJson(ordered) : written;
}

function integer(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new Fault('internal', 'core.not_canonical', 'expected an integer between -(2^53-1) and 2^53-1');
}
