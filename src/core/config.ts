import path from 'node:path';

import { isLoopback, parseIp } from './address.ts';
import { configSchema, type ConfigText } from './config-schema.ts';
import { SECOND } from './duration.ts';
import type { Env } from './env.ts';
import { Fault } from './fault.ts';
import { deepFreeze } from './freeze.ts';
import { readTextFile } from './secret-file.ts';
import { Secret } from './secret.ts';
import { parseStrictYaml } from './strict-yaml.ts';

/** The process configuration, frozen; PEM members hold the text of the files that the configuration names. */
export interface Config {
  /** Null for the built-in example. */
  readonly path: string | null;
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly hosts: readonly string[];
    readonly tls: { readonly cert: string; readonly key: Secret; readonly clientCa: string | null } | null;
    readonly trustProxy: readonly string[];
  };
  /** `sqlite` or a PostgreSQL url, which may hold a password. */
  readonly storage: { readonly url: Secret };
  /** Absolute; null is the user's state directory. */
  /** `keys` is the folder of the log's secret keys, null for the one in DATA. */
  readonly ledger: { readonly anchor: string | null; readonly keys: string | null };
  /** `timeoutMs` until the first byte of an answer, and between two pieces of it. */
  readonly egress: {
    readonly resolvers: readonly string[];
    readonly ca: string | null;
    readonly timeoutMs: number;
  };
  /** Limits and repeats of the gateway; durations in milliseconds. */
  readonly routing: {
    readonly waitMs: number;
    readonly repeats: number;
    readonly concurrency: number;
    readonly queue: number;
    readonly breaker: { readonly failures: number; readonly pauseMs: number };
    readonly health: { readonly everyMs: number; readonly timeoutMs: number; readonly failures: number };
    /** By `provider/model`. */
    readonly endpoints: ConfigText['routing']['endpoints'];
  };
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Absolute; null is the built-in example. */
  readonly governance: string | null;
  /** What was written, for `redactedConfig`. */
  readonly text: ConfigText;
}

/** The variables that outrank the file. */
export type ConfigEnv = Pick<Env, 'host' | 'port' | 'databaseUrl'>;

export interface ConfigSource {
  /** Where the text came from; relative paths in it start there. */
  readonly path: string;
  readonly env: ConfigEnv;
}

/**
 * Reads the text of a `sekisho.yaml` and the files it names.
 * @throws Fault `core.config` for unknown keys, wrong values and contradictory settings, all named;
 * `core.unreadable_file` for a file that cannot be read.
 */
export function parseConfig(text: string, source: ConfigSource): Config {
  const parsed = parseStrictYaml(text, configSchema);
  if ('problems' in parsed) throw refusal(source.path, parsed.problems);
  return resolve(parsed.value, source, true);
}

/** The file at `file`. @throws Faults of `parseConfig`, and `core.unreadable_file`. */
export function loadConfig(file: string, env: ConfigEnv): Config {
  return parseConfig(readTextFile(file, 'the configuration'), { path: path.resolve(file), env });
}

/** The configuration of the built-in example, for a start without a file. */
export function defaultConfig(env: ConfigEnv): Config {
  return resolve(configSchema.parse({}), { path: 'the built-in configuration', env }, false);
}

/** The effective configuration as JSON, secrets left out, for `config check`. */
export function redactedConfig(config: Config): Readonly<Record<string, unknown>> {
  const url = config.storage.url.reveal();
  const { text } = config;
  return {
    path: config.path,
    server: { ...text.server, host: config.server.host, port: config.server.port },
    storage: { url: url === 'sqlite' ? url : `${url.split(':')[0] ?? ''}://[secret]` },
    ledger: { anchor: config.ledger.anchor, keys: config.ledger.keys },
    egress: { ...text.egress, ca: text.egress.ca ?? null },
    routing: text.routing,
    secrets: text.secrets,
    governance: config.governance,
  };
}

function resolve(text: ConfigText, source: ConfigSource, fromFile: boolean): Config {
  const { env } = source;
  const server = { ...text.server, host: env.host ?? text.server.host, port: env.port ?? text.server.port };
  refuseContradictions(server, source.path);
  const at = (file: string): string => path.resolve(path.dirname(source.path), file);
  return deepFreeze({
    path: fromFile ? source.path : null,
    server: { ...server, tls: readTls(server.tls, at) },
    storage: { url: env.databaseUrl ?? new Secret(text.storage.url) },
    ledger: {
      anchor: text.ledger.anchor === undefined ? null : at(text.ledger.anchor),
      keys: text.ledger.keys === undefined ? null : at(text.ledger.keys),
    },
    egress: {
      timeoutMs: text.egress.timeout * SECOND,
      resolvers: text.egress.resolvers,
      ca: text.egress.ca === undefined ? null : readPem(at(text.egress.ca), 'egress.ca', 'CERTIFICATE'),
    },
    routing: routingOf(text.routing),
    secrets: readSecrets(text.secrets, at),
    governance: fromFile ? at(text.governance) : null,
    text,
  });
}

function routingOf({ wait, breaker, health, ...limits }: ConfigText['routing']): Config['routing'] {
  return {
    ...limits,
    waitMs: wait * SECOND,
    breaker: { failures: breaker.failures, pauseMs: breaker.pause * SECOND },
    health: {
      everyMs: health.every * SECOND,
      timeoutMs: health.timeout * SECOND,
      failures: health.failures,
    },
  };
}

function refuseContradictions(server: ConfigText['server'], where: string): void {
  const address = parseIp(server.host);
  const local = address === null ? server.host.toLowerCase() === 'localhost' : isLoopback(address);
  if (!local && server.tls === undefined && server.trustProxy.length === 0) {
    const problem = `server.host ${server.host} is beyond loopback: expected server.tls or server.trustProxy with it, found neither`;
    throw refusal(where, [problem]);
  }
}

type Locate = (file: string) => string;

function readTls(tls: ConfigText['server']['tls'], at: Locate): Config['server']['tls'] {
  if (tls === undefined) return null;
  return {
    cert: readPem(at(tls.cert), 'server.tls.cert', 'CERTIFICATE'),
    key: new Secret(readPem(at(tls.key), 'server.tls.key', 'PRIVATE KEY')),
    clientCa:
      tls.clientCa === undefined ? null : readPem(at(tls.clientCa), 'server.tls.clientCa', 'CERTIFICATE'),
  };
}

function readPem(file: string, setting: string, kind: 'CERTIFICATE' | 'PRIVATE KEY'): string {
  const text = readTextFile(file, setting);
  if (new RegExp(`-----BEGIN ([A-Z]+ )?${kind}-----`).test(text)) return `${text}\n`;
  throw refusal(file, [`${setting}: expected a PEM ${kind.toLowerCase()}`]);
}

function readSecrets(secrets: ConfigText['secrets'], at: Locate): ReadonlyMap<string, Secret> {
  const names = Object.keys(secrets).sort();
  return new Map(
    names.map((name) => [
      name,
      new Secret(readTextFile(at(secrets[name]?.file ?? ''), `secrets.${name}.file`)),
    ]),
  );
}

function refusal(where: string, problems: readonly string[]): Fault {
  return new Fault('invalid', 'core.config', `${where}: ${problems.join('; ')}`, { details: { problems } });
}
