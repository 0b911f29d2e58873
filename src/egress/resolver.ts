import { Resolver, getServers } from 'node:dns';
import { isIP } from 'node:net';
import { refusal, unreachable } from './refusal.ts';

/** Asks the configured servers, and nobody else, for the addresses of a host. */
export interface NameResolver {
  /**
   * IPv4 first. A literal and `localhost` are answered without a question.
   * @throws Fault `egress.unreachable`; `egress.denied` by guard resolver.
   */
  resolve(host: string): Promise<readonly string[]>;
}

const TIMEOUT_MS = 2_000;
const TRIES = 2;

/**
 * c-ares puts one question for the exact name: no search domains, no hosts file, no multicast, no name service switch.
 * `servers` null means those of the system's resolver file. `allowed` is asked before each question.
 */
export function createResolver(
  servers: readonly string[] | null,
  allowed: (server: string) => boolean,
): NameResolver {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  resolver.setServers(servers === null ? getServers() : servers);
  return {
    async resolve(host) {
      if (isIP(host) !== 0) return [host];
      // RFC 6761 section 6.3: the name is the machine itself and never a question.
      if (host === 'localhost') return ['127.0.0.1', '::1'];
      const outside = resolver.getServers().find((server) => !allowed(serverAddress(server)));
      if (outside !== undefined) throw refusal('resolver', `the name server ${outside} may not be asked`);
      return ask(resolver, host);
    },
  };
}

async function ask(resolver: Resolver, host: string): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([query(resolver, host, 'A'), query(resolver, host, 'AAAA')]);
  const found = [
    ...(four.status === 'fulfilled' ? four.value : []),
    ...(six.status === 'fulfilled' ? six.value : []),
  ];
  if (found.length === 0)
    throw unreachable(`no address for ${host}`, four.status === 'rejected' ? four.reason : undefined);
  return found;
}

function query(resolver: Resolver, host: string, type: 'A' | 'AAAA'): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, found: readonly string[]): void =>
      error === null ? resolve(found) : reject(error);
    if (type === 'A') resolver.resolve4(host, done);
    else resolver.resolve6(host, done);
  });
}

function serverAddress(server: string): string {
  const bracketed = /^\[(.+)\]/.exec(server);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  return isIP(server) === 6 ? server : server.replace(/:\d+$/, '');
}
