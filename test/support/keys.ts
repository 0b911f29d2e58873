import assert from 'node:assert/strict';
import type { Role } from '../../src/identity/types.ts';
import type { Site } from './site.ts';

/** A key of a running site and what is known of it. */
export interface SiteKey {
  readonly key: string;
  readonly id: string;
  readonly tenant: string;
}

/** Makes a key with these roles by the administrator's; in the administrator's organisation unless told. */
export async function keyWith(site: Site, roles: readonly Role[], tenant?: string): Promise<SiteKey> {
  const order = { name: roles.join(' '), roles, ...(tenant === undefined ? {} : { tenant }) };
  const reply = await site.call('/api/v1/keys', { body: JSON.stringify(order) });
  assert.equal(reply.status, 201, reply.text);
  const { key, facts } = JSON.parse(reply.text) as { key: string; facts: { id: string; tenant: string } };
  return { key, id: facts.id, tenant: facts.tenant };
}

/** Makes an organisation and tells its id. */
export async function organisation(site: Site, name: string): Promise<string> {
  const reply = await site.call('/api/v1/orgs', { body: JSON.stringify({ name }) });
  assert.equal(reply.status, 201, reply.text);
  return (JSON.parse(reply.text) as { id: string }).id;
}

/** The header that speaks with a key. */
export function bearer({ key }: Pick<SiteKey, 'key'>): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}
