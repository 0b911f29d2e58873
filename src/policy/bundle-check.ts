import { nearest } from '../core/nearest.ts';
import { networkProblems } from './network.ts';
import { purposeIds } from './purposes.ts';
import { isOwnKind } from './residency.ts';
import type { Bundle, Provider, Signers } from './types.ts';

/** What the parts of a bundle say against each other, one sentence each; empty when it can be used. */
export function checkReferences(bundle: Bundle): string[] {
  return [
    ...signerProblems(bundle.site.signers),
    ...packProblems(bundle),
    ...repeated(
      'providers: id',
      bundle.providers.map(({ id }) => id),
    ),
    ...bundle.providers.flatMap(providerProblems),
    ...modelProblems(bundle),
    ...repeated('purposes:', purposeIds(bundle.purposes)),
    ...testProblems(bundle),
  ];
}

function signerProblems({ threshold, keys }: Signers): string[] {
  const problems = repeated('site.signers: key', keys);
  if (threshold > keys.length)
    problems.push(`site.signers: a threshold of ${threshold} cannot be met by ${keys.length} keys`);
  return problems;
}

function packProblems({ site, packs }: Bundle): string[] {
  const missing = site.packs.filter((name) => !Object.hasOwn(packs, name));
  const extra = Object.keys(packs).filter((name) => !site.packs.includes(name));
  return [
    ...repeated('site.packs:', site.packs),
    ...missing.map((name) => `packs: "${name}" is named by site.packs and not there`),
    ...extra.map((name) => `packs: "${name}" is not named by site.packs`),
  ];
}

/** What keeps one provider from being used, one sentence each. */
export function providerProblems(provider: Provider): string[] {
  const problems = isOwnKind(provider.kind) ? ownProblems(provider) : remoteProblems(provider);
  const record = provider.residency;
  if (record !== null && record.expires <= record.issued)
    problems.push('residency.expires: expected a time after residency.issued');
  if (Object.keys(provider.models).length === 0) problems.push('models: expected at least one');
  return problems.map((problem) => `providers.${provider.id}: ${problem}`);
}

function ownProblems(provider: Provider): string[] {
  const { kind, url, network, secret, residency, apiVersion = null, health = null, body = null } = provider;
  const given = Object.entries({ url, network, secret, residency, apiVersion, health, body }).filter(
    ([, value]) => value !== null,
  );
  return given.map(([name]) => `${name}: a ${kind} provider is this machine and has none`);
}

function remoteProblems(provider: Provider): string[] {
  if (provider.url === null) return [`url: a provider of kind ${provider.kind} needs one`];
  if (provider.network === null)
    return [`network: a provider of kind ${provider.kind} needs hosts and addresses`];
  return [...networkProblems(provider.url, provider.network), ...bodyProblems(provider)];
}

// Who keeps nothing cannot be let keep something.
function bodyProblems({ body, residency }: Provider): string[] {
  if (body === undefined || residency?.retentionDays !== 0) return [];
  const kept = (['store', 'caches', 'files'] as const).filter((name) => body[name]);
  return kept.map((name) => `body.${name}: residency.retentionDays says that nothing is kept`);
}

function modelProblems(bundle: Bundle): string[] {
  const known = endpointIds(bundle);
  return Object.entries(bundle.models).flatMap(([name, { from }]) => {
    const ids = from.map(({ endpoint }) => endpoint);
    const unknown = ids.filter((id) => !known.includes(id)).map((id) => unknownName('endpoint', id, known));
    const problems = [...unknown, ...repeated('from:', ids)];
    if (ids.length === 0) problems.push('from: expected at least one endpoint');
    return problems.map((problem) => `models.${name}: ${problem}`);
  });
}

function testProblems(bundle: Bundle): string[] {
  const models = Object.keys(bundle.models);
  return bundle.tests.flatMap(({ name, model }) =>
    models.includes(model) ? [] : [`tests "${name}": ${unknownName('model', model, models)}`],
  );
}

function endpointIds(bundle: Bundle): string[] {
  return bundle.providers.flatMap(({ id, models }) => Object.keys(models).map((model) => `${id}/${model}`));
}

function unknownName(what: string, name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return `no ${what} "${name}"${meant === null ? '' : `, did you mean "${meant}"?`}`;
}

function repeated(what: string, names: readonly string[]): string[] {
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...twice].map((name) => `${what} "${name}" is there twice`);
}
