import { DAY, SECOND } from '../core/duration.ts';
import type { ProviderHealth } from '../gateway/health/checks.ts';
import type { EndpointState } from '../gateway/routing/router.ts';
import type { Endpoint } from '../policy/types.ts';
import type { Site } from './site.ts';

export interface ReadyCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failing';
  readonly detail: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadyCheck[];
}

/** A record that ends sooner than this is worth a warning. */
const EXPIRY_WARNING = 30 * DAY;

/** What the gateway knows of the places that it asks. */
export interface Reached {
  readonly endpoints: readonly EndpointState[];
  readonly providers: readonly ProviderHealth[];
}

/** Whether the site can answer, and what is missing. A local model that is not there yet does not stop the rest. */
export function readiness(site: Site, { endpoints, providers }: Reached): Readiness {
  const records = recordChecks(site.policy.endpoints, site.world.clock.now());
  const checks = [
    ledgerCheck(site),
    spaceCheck(site),
    anchorCheck(site),
    ...modelChecks(site),
    ...endpoints.flatMap(breakerCheck),
    ...providers.flatMap(healthCheck),
    ...records,
  ];
  return { ready: checks.every(({ state }) => state !== 'failing'), checks };
}

function ledgerCheck({ ledger }: Site): ReadyCheck {
  const trouble = ledger.trouble();
  if (trouble !== null) return { name: 'ledger', state: 'failing', detail: trouble };
  return { name: 'ledger', state: 'ok', detail: `${ledger.size()} leaves in ${ledger.origin}` };
}

function spaceCheck({ space }: Site): ReadyCheck {
  const warning = space.warning();
  if (warning !== null) return { name: 'space', state: 'warning', detail: warning };
  return { name: 'space', state: 'ok', detail: 'the disk of the log has room' };
}

function anchorCheck({ ledger }: Site): ReadyCheck {
  if (ledger.anchored()) {
    return {
      name: 'anchor',
      state: 'ok',
      detail: 'the last signed checkpoint is kept outside the data directory',
    };
  }
  const detail =
    'no second place keeps the last signed checkpoint; set ledger.anchor outside the data directory';
  return { name: 'anchor', state: 'warning', detail };
}

function modelChecks({ models }: Site): readonly ReadyCheck[] {
  return models.describe().map(({ name, ready, detail }) => ({
    name: `model ${name}`,
    state: ready ? 'ok' : 'warning',
    detail,
  }));
}

// One that is left alone does not stop the rest.
function breakerCheck({ endpoint, broken, pausedMs }: EndpointState): readonly ReadyCheck[] {
  if (!broken) return [];
  const when =
    pausedMs === 0 ? 'with the next request' : `in ${Math.ceil(pausedMs / SECOND)} s at the latest`;
  const detail = `failed several times in a row and is left alone; tried again ${when}`;
  return [{ name: `endpoint ${endpoint}`, state: 'warning', detail }];
}

// What a check shows stops no request by itself.
function healthCheck({ provider, state, detail }: ProviderHealth): readonly ReadyCheck[] {
  if (state === 'well') return [];
  const fix =
    state === 'failing'
      ? 'requests go to other endpoints while it lasts'
      : `this tells nothing about requests; mend health in governance/providers/${provider}.yaml or leave it out`;
  return [{ name: `provider ${provider}`, state: 'warning', detail: `health check: ${detail}; ${fix}` }];
}

/** The records, and the evidence in them, that have ended or soon will, each with the fix. */
export function recordChecks(endpoints: readonly Endpoint[], now: number): readonly ReadyCheck[] {
  return endpoints.flatMap(({ id, provider, record }) => {
    if (record === null || record.selfDeclared) return [];
    const file = `governance/providers/${provider}.yaml`;
    const ends = [
      {
        what: 'its residency record',
        expires: record.expires,
        fix: `check the facts in ${file}, date them anew, then build, sign and apply`,
      },
      ...record.evidence.map(({ document, expires }) => ({
        what: `its evidence "${document}"`,
        expires,
        fix: `put the new document's digest and date under evidence in ${file}, then build, sign and apply`,
      })),
    ];
    return ends
      .filter(({ expires }) => expires <= now + EXPIRY_WARNING)
      .map(({ what, expires, fix }) => ({
        name: `endpoint ${id}`,
        state: 'warning' as const,
        detail: `${what} ${whenOf(expires, now)}; ${fix}`,
      }));
  });
}

function whenOf(expires: number, now: number): string {
  if (expires <= now) return 'has expired';
  return `expires in ${Math.ceil((expires - now) / DAY)} days`;
}
