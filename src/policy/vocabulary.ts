import { readFileSync } from 'node:fs';

import { Fault } from '../core/fault.ts';

/** The packs that come with the program, from the source tree and from the built one alike. */
export const PACKS_URL: URL = new URL('../../packs/', import.meta.url);

/**
 * The Cedar schema that every policy is checked against. It belongs to the program and not to the bundle, for it must
 * agree with the facts that `facts.ts` hands to Cedar; it changes by addition only, so that a signed bundle stays valid.
 */
export function vocabulary(): string {
  try {
    return readFileSync(new URL('default/schema.cedarschema', PACKS_URL), 'utf8');
  } catch (cause) {
    throw new Fault('internal', 'policy.vocabulary', 'the policy schema of the program is not readable', {
      cause,
    });
  }
}
