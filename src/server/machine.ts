import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** As machine-id(5) asks: never the id itself, which other programs rely on to be secret. */
const PURPOSE = 'sekisho/machine';

/** A digest that tells this machine from others, or null where the system has no machine-id, as in most containers. */
export function machineDigest(file = '/etc/machine-id'): string | null {
  try {
    const id = readFileSync(file, 'utf8').trim();
    return /^[0-9a-f]{32}$/.test(id) ? createHmac('sha256', id).update(PURPOSE).digest('hex') : null;
  } catch {
    return null;
  }
}
