import { DAY } from '../../core/duration.ts';
import { Fault } from '../../core/fault.ts';
import { bind, type BoundRoute, type RouteCaller } from '../../core/route.ts';
import type { World } from '../../core/world.ts';
import type { ApprovalQuestion } from '../../identity/approval.ts';
import { ROLES } from '../../identity/types.ts';
import { encodeBundle } from '../../policy/bundle.ts';
import { explain } from '../../policy/explain.ts';
import { labelToHeader } from '../../policy/labels.ts';
import type { DecisionFacts } from '../../policy/replay.ts';
import type { PolicyEngine } from '../../policy/types.ts';
import type { CountedFacts } from '../../policy/what-if.ts';
import type { DecisionBook } from './book.ts';
import { getExplain, postWhatIf } from './contract.ts';
import type { DecisionRow } from './store.ts';
import { OneByOne } from './one-by-one.ts';
import { whatIfApart } from './what-if.ts';

export interface DecisionRoutes {
  readonly book: DecisionBook;
  readonly world: World;
  /** The engine of the running bundle. */
  readonly policy: () => PolicyEngine;
  readonly approved: (question: ApprovalQuestion) => boolean;
}

/** Bounds the work of one comparison. */
const MAX_SETS = 20_000;
const SHOWN_REQUESTS = 3;
const GROUPS_WITH_REQUESTS = 50;
const SETS_WITH_REQUESTS = 5;
/** For so long an explanation lets nothing else run. */
const TURN_MS = 5;
/** Explanations under way and waiting. */
const EXPLANATIONS = 16;
const COMPARISONS = 3;
const NO_STORE = { 'cache-control': 'no-store' };
const GOVERNING: readonly string[] = ['policy-signer', 'auditor', 'operator'];

export function decisionRoutes(parts: DecisionRoutes): readonly BoundRoute[] {
  const comparisons = new OneByOne(COMPARISONS);
  const explanations = new OneByOne(EXPLANATIONS);
  return [
    bind(postWhatIf, async ({ body, query, caller, signal }) => {
      const question = { bundle: body, days: query.days, caller: known(caller), signal };
      const json = await comparisons.run(async () => answerWhatIf(parts, question));
      return { json, headers: NO_STORE };
    }),
    bind(getExplain, async ({ query, caller }) => {
      const asked = await questionOf(parts, query, known(caller));
      const json = await explanations.run(async () => answerExplain(parts, asked));
      return { json, headers: NO_STORE };
    }),
  ];
}

interface WhatIfQuestion {
  readonly bundle: string;
  readonly days: number;
  readonly caller: RouteCaller;
  readonly signal: AbortSignal;
}

async function answerWhatIf(
  { book, world, policy }: DecisionRoutes,
  { bundle, days, caller, signal }: WhatIfQuestion,
): Promise<unknown> {
  await book.flush();
  const engine = policy();
  const now = world.clock.now();
  const since = now - (days - 1) * DAY;
  const all = await book.store.counted(since);
  const counted = all.slice(0, MAX_SETS);
  const task = { running: encodeBundle(engine.bundle), given: bundle, counted, now };
  const { given, answer } = await whatIfApart(task, signal);
  const visible = visibleSets(counted, caller);
  const groups: unknown[] = [];
  for (const [index, { sets, ...group }] of answer.groups.entries()) {
    const mine = index < GROUPS_WITH_REQUESTS ? sets.filter((id) => visible.has(id)) : [];
    const requests = await book.store.latest(mine.slice(0, SETS_WITH_REQUESTS), since, SHOWN_REQUESTS);
    groups.push({ ...group, requests });
  }
  return {
    bundle: { running: engine.hash, given },
    days,
    decisions: answer.decisions,
    changed: answer.changed,
    sets: counted.length,
    missed: await book.store.missed(since),
    unexamined: all.slice(MAX_SETS).reduce((sum, { count }) => sum + count, 0),
    inexact: answer.inexact,
    groups,
  };
}

// As with receipts: one's own organisation's, all of them for an auditor.
function visibleSets(counted: readonly CountedFacts[], caller: RouteCaller): ReadonlySet<string> {
  const visible = counted.filter(({ facts }) => mayRead(facts, caller));
  return new Set(visible.map(({ id }) => id));
}

function mayRead(facts: DecisionFacts, caller: RouteCaller): boolean {
  return facts.tenant === caller.tenant || caller.roles.includes('auditor');
}

interface ExplainQuestion {
  readonly facts: Pick<DecisionFacts, 'model' | 'asked' | 'purpose' | 'approved' | 'tenant' | 'roles'>;
  readonly caller: RouteCaller;
  readonly recorded: DecisionRow | null;
}

type ExplainQuery = Readonly<Record<'model' | 'label' | 'purpose' | 'roles' | 'rid', string | undefined>>;

async function questionOf(
  { book }: DecisionRoutes,
  query: Partial<ExplainQuery>,
  caller: RouteCaller,
): Promise<ExplainQuestion> {
  if (query.rid !== undefined) {
    await book.flush();
    const found = await book.store.find(query.rid);
    if (found === null || !mayRead(found.facts, caller)) throw noDecision();
    return { facts: found.facts, caller, recorded: found.row };
  }
  if (query.model === undefined) throw new Fault('invalid', 'server.query', 'give a model, or a rid');
  const facts = {
    model: query.model,
    asked: query.label ?? null,
    purpose: query.purpose ?? null,
    approved: false,
    tenant: caller.tenant,
    roles: rolesOf(query.roles, caller),
  };
  return { facts, caller, recorded: null };
}

function rolesOf(asked: string | undefined, caller: RouteCaller): readonly string[] {
  if (asked === undefined) return caller.roles;
  const roles = asked.split(',').map((role) => role.trim());
  const unknown = roles.find((role) => !ROLES.some((known) => known === role));
  if (unknown !== undefined)
    throw new Fault('invalid', 'server.query', `expected roles out of ${ROLES.join(', ')}`);
  if (roles.every((role) => caller.roles.includes(role))) return roles;
  if (caller.roles.some((role) => GOVERNING.includes(role))) return roles;
  const message = `explaining for roles that this key does not hold needs the role ${GOVERNING.join(' or ')}`;
  throw new Fault('denied', 'identity.role_needed', message);
}

async function answerExplain(
  { policy, world, approved: holds }: DecisionRoutes,
  { facts, caller, recorded }: ExplainQuestion,
): Promise<unknown> {
  const engine = policy();
  const { model, asked, purpose, tenant, roles } = facts;
  const now = world.clock.now();
  const terms = purpose === null ? null : engine.approval(purpose);
  const given = purpose !== null && terms !== null && holds({ caller, purpose, terms, now });
  const approved = recorded === null ? given : terms !== null && facts.approved;
  const labelled = engine.label(model, asked);
  if (labelled === null)
    throw new Fault('missing', 'policy.unknown_model', 'the running bundle has no such model');
  const { label } = labelled;
  const input = {
    caller: { id: caller.id, tenant, roles },
    action: 'infer',
    model,
    label,
    purpose,
    approved,
    now,
  } as const;
  const { endpoints } = await explain({ engine, input, roles: ROLES, pause: pauses(world) });
  return {
    model,
    label: labelToHeader(label),
    raised: labelled.kind === 'downgrade',
    purpose,
    approval: terms === null ? null : { ...terms, given: approved },
    roles,
    bundle: engine.hash,
    recorded: recorded === null ? null : shownRow(recorded),
    endpoints: endpoints.map(({ decision: { endpoint, effect, rules, reasons }, ways }) => ({
      endpoint,
      effect,
      rules,
      reasons,
      ways,
    })),
  };
}

// Between evaluations rather than after each: a pause costs a millisecond, an evaluation less.
function pauses({ clock }: World): () => Promise<void> {
  let since = clock.elapsed();
  return async () => {
    if (clock.elapsed() - since < TURN_MS) return;
    await clock.sleep(1);
    since = clock.elapsed();
  };
}

function shownRow({ rid, t, bundle, effect, endpoint }: DecisionRow): Omit<DecisionRow, 'facts'> {
  return { rid, t, bundle, effect, endpoint };
}

// Of another organisation's decision nobody learns even that it exists.
function noDecision(): Fault {
  return new Fault('missing', 'server.no_decision', 'no decision with this id is kept');
}

function known(caller: RouteCaller | null): RouteCaller {
  if (caller !== null) return caller;
  throw new Fault('unauthenticated', 'identity.invalid_api_key', 'no valid key');
}
