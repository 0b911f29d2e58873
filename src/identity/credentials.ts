/** Header values by lower-case name, as node:http gives them; `headersDistinct` also shows duplicates. */
export type CredentialHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

const BEARER = /^bearer +([\x21-\x7e]{1,4096})$/i;
const VISIBLE = /^[\x21-\x7e]{1,4096}$/;

/**
 * The one credential that a request carries, or null when it has none, a malformed one, or several that differ: then
 * nobody can say on whose behalf it speaks. `x-api-key` counts on Anthropic paths only.
 */
export function credentialOf(headers: CredentialHeaders, anthropic: boolean): string | null {
  const found = new Set<string | null>();
  for (const value of valuesOf(headers['authorization'])) found.add(BEARER.exec(value)?.[1] ?? null);
  for (const value of valuesOf(headers['api-key'])) found.add(VISIBLE.test(value) ? value : null);
  if (anthropic) {
    for (const value of valuesOf(headers['x-api-key'])) found.add(VISIBLE.test(value) ? value : null);
  }
  const [credential] = found;
  return found.size === 1 ? (credential ?? null) : null;
}

function valuesOf(header: string | readonly string[] | undefined): readonly string[] {
  if (header === undefined) return [];
  return typeof header === 'string' ? [header] : header;
}
