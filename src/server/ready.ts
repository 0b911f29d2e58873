import { DAY } from '../core/duration.ts';
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

/** Whether the site can answer, and what is missing. A local model that is not there yet does not stop the rest. */
export function readiness(site: Site): Readiness {
  const checks = [ledgerCheck(site), anchorCheck(site), ...modelChecks(site), ...recordChecks(site)];
  return { ready: checks.every(({ state }) => state !== 'failing'), checks };
}

function ledgerCheck({ ledger }: Site): ReadyCheck {
  const trouble = ledger.trouble();
  if (trouble !== null) return { name: 'ledger', state: 'failing', detail: trouble };
  return { name: 'ledger', state: 'ok', detail: `${ledger.size()} leaves in ${ledger.origin}` };
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

function recordChecks({ policy, world }: Site): readonly ReadyCheck[] {
  const now = world.clock.now();
  const checks: ReadyCheck[] = [];
  for (const { id, record } of policy.endpoints) {
    if (record === null || record.selfDeclared || record.expires > now + EXPIRY_WARNING) continue;
    const ended = record.expires <= now;
    const days = Math.ceil((record.expires - now) / DAY);
    const detail = ended
      ? 'its residency record has expired'
      : `its residency record expires in ${days} days`;
    checks.push({ name: `endpoint ${id}`, state: 'warning', detail });
  }
  return checks;
}
