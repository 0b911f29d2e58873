import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../core/config.ts';

/** What a site opens once, when it starts. */
const AT_START: Readonly<Record<string, (config: Config) => unknown>> = {
  'server.host': ({ server }) => server.host,
  'server.port': ({ server }) => server.port,
  // A certificate and its key are taken over; whether there is one, and whether clients need one, is not.
  'server.tls': ({ server }) => server.tls !== null,
  'server.tls.clientCa': ({ server }) => server.tls !== null && server.tls.clientCa !== null,
  'storage.url': ({ storage }) => storage.url.reveal(),
  'ledger.anchor': ({ ledger }) => ledger.anchor,
  'ledger.keys': ({ ledger }) => ledger.keys,
  'egress.resolvers': ({ egress }) => egress.resolvers,
  'egress.ca': ({ egress }) => egress.ca,
};

/** The settings that differ between the configuration of the start and another, and take effect with the next start. */
export function waitsForRestart(opened: Config, next: Config): readonly string[] {
  const changed = Object.entries(AT_START).filter(([, read]) => !isDeepStrictEqual(read(opened), read(next)));
  return changed.map(([name]) => name);
}
