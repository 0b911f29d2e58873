import type { Secret } from '../../core/secret.ts';
import type { ControlDestination } from '../../crossing/control.ts';
import type { PolicyEngine, Provider } from '../../policy/types.ts';
import { credentialsOf } from '../endpoints.ts';

/** A provider whose signed record names a path by which it can be asked whether it is well. */
export interface HealthTarget {
  readonly provider: string;
  readonly bundle: string;
  /** `provider/model` of all that it serves. */
  readonly endpoints: readonly string[];
  readonly destination: ControlDestination;
  /** The headers that say who asks, made when they are sent. */
  credentials(): Readonly<Record<string, string>>;
}

/** The providers that the bundle lets the site check, in the bundle's order. */
export function healthTargets(
  { bundle, hash }: Pick<PolicyEngine, 'bundle' | 'hash'>,
  secrets: ReadonlyMap<string, Secret>,
): readonly HealthTarget[] {
  return bundle.providers.flatMap((provider) => {
    const destination = destinationOf(provider);
    if (destination === null) return [];
    const secret = provider.secret === null ? null : (secrets.get(provider.secret) ?? null);
    return {
      provider: provider.id,
      bundle: hash,
      endpoints: Object.keys(provider.models).map((model) => `${provider.id}/${model}`),
      destination,
      credentials: () => credentialsOf(provider.kind, secret),
    };
  });
}

function destinationOf({ id, url, network, health, residency }: Provider): ControlDestination | null {
  if (health === undefined || url === null || network === null) return null;
  return {
    name: `health:${id}`,
    network: { ...network, url },
    sends: { method: 'GET', path: health, maxBytes: 0 },
    to: residency === null ? null : { operator: residency.operator, country: residency.inference },
    expires: residency === null ? null : residency.expires,
  };
}
