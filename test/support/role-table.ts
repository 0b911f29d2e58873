import type { Role } from '../../src/identity/types.ts';

/** The roles in the order of the columns. */
export const COLUMNS: readonly Role[] = ['admin', 'operator', 'policy-signer', 'auditor', 'owner', 'caller'];

/** What a key with one role alone is answered, by act; docs/roles.md shows the same table to people. */
export const ROLE_TABLE: readonly (readonly [act: string, statuses: readonly number[]])[] = [
  ['ask a model', [403, 403, 403, 403, 403, 200]],
  ['ask under a lower label', [403, 403, 403, 403, 403, 400]],
  ['list models', [403, 403, 403, 403, 403, 200]],
  ['read a receipt of the own organisation', [200, 200, 200, 200, 200, 200]],
  ['read a receipt of another organisation', [404, 404, 404, 200, 404, 404]],
  ['read the entries of the log', [403, 403, 403, 200, 403, 403]],
  ['read metrics', [403, 200, 403, 403, 403, 403]],
  ['list keys', [200, 403, 403, 403, 403, 403]],
  ['make a key', [201, 403, 403, 403, 403, 403]],
  ['revoke a key', [200, 403, 403, 403, 403, 403]],
  ['list organisations', [200, 403, 403, 403, 403, 403]],
  ['make an organisation', [201, 403, 403, 403, 403, 403]],
  ['read the running policy', [403, 200, 200, 200, 403, 403]],
  ['read the history of policy', [403, 200, 200, 200, 403, 403]],
  ['apply a bundle nobody signed', [403, 400, 400, 403, 403, 403]],
  ['explain a decision', [403, 200, 200, 200, 403, 200]],
  ['ask what another bundle would change', [403, 400, 400, 400, 403, 403]],
  ['give an approval that owners give', [403, 403, 403, 403, 201, 403]],
  ['list approvals', [200, 200, 200, 200, 200, 200]],
  ['take back an approval of owners', [200, 403, 403, 403, 200, 404]],
  ['erase a request of the own organisation', [200, 403, 403, 403, 200, 403]],
  ['erase a request of another organisation', [200, 403, 403, 403, 404, 403]],
  ['erase all requests of the own organisation', [200, 403, 403, 403, 200, 403]],
  ['erase all requests of another organisation', [200, 403, 403, 403, 404, 403]],
  ['erase all requests before a day', [200, 403, 403, 403, 403, 403]],
];
