import { Fault } from './fault.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { nearest } from './nearest.ts';
import { readTextFile } from './secret-file.ts';
import { Secret } from './secret.ts';

/** The environment as Sekisho sees it; null is not set, and an empty variable counts as not set. */
export interface Env {
  readonly config: string | null;
  readonly data: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly url: string | null;
  /** A PEM file with the authority of the site at `url`. */
  readonly ca: string | null;
  readonly key: Secret | null;
  /** The public key of a log. */
  readonly logKey: string | null;
  /** The least grave that is logged. */
  readonly log: LogLevel | null;
  readonly adminKey: Secret | null;
  readonly databaseUrl: Secret | null;
  readonly models: string | null;
  readonly home: string | null;
  /** PATH, for programs that are started by name. */
  readonly searchPath: string | null;
  /** XDG base directories, null when not set. */
  readonly stateHome: string | null;
  readonly cacheHome: string | null;
  readonly locale: 'ja' | 'en';
  readonly dangers: readonly EnvDanger[];
}

/**
 * A variable that changes what the process trusts or where it sends: `proxy` redirects traffic, `trust` changes which
 * certificates count, `inspect` opens the process or shows its traffic, `code` loads other code.
 */
export interface EnvDanger {
  readonly name: string;
  readonly effect: 'proxy' | 'trust' | 'inspect' | 'code';
}

export type EnvSource = Readonly<Record<string, string | undefined>>;

const PLAIN = ['CONFIG', 'DATA', 'HOST', 'PORT', 'URL', 'CA', 'LOG_KEY', 'LOG', 'MODELS'] as const;
const SECRETS = ['KEY', 'ADMIN_KEY', 'DATABASE_URL'] as const;
/**
 * What Kubernetes puts into every container of a namespace with a Service that is called `sekisho` or `sekisho-…`; see
 * its documentation of environment variables for Services. Nobody chose these, and nothing is read from them.
 */
const OF_A_SERVICE =
  /^SEKISHO_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d{1,5}_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_PORT = /^SEKISHO_(\w+_)?PORT$/;
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

/** Set by the launcher for its child. */
const INTERNAL = ['LAUNCHER'];
const KNOWN = [...PLAIN, ...SECRETS, ...SECRETS.map((name) => `${name}_FILE`), ...INTERNAL].map(
  (name) => `SEKISHO_${name}`,
);

const DANGERS: Readonly<Record<string, EnvDanger['effect']>> = {
  HTTP_PROXY: 'proxy',
  HTTPS_PROXY: 'proxy',
  ALL_PROXY: 'proxy',
  NODE_USE_ENV_PROXY: 'proxy',
  NODE_EXTRA_CA_CERTS: 'trust',
  NODE_TLS_REJECT_UNAUTHORIZED: 'trust',
  NODE_USE_SYSTEM_CA: 'trust',
  SSL_CERT_FILE: 'trust',
  SSL_CERT_DIR: 'trust',
  OPENSSL_CONF: 'trust',
  NODE_DEBUG: 'inspect',
};

const DANGEROUS_OPTIONS: readonly (readonly [RegExp, EnvDanger['effect']])[] = [
  [/--use-env-proxy\b/, 'proxy'],
  [/--(use-(system|openssl|bundled)-ca|openssl-|tls-(min|max|cipher))/, 'trust'],
  [/--(inspect|tls-keylog|trace-tls|heapsnapshot|report)/, 'inspect'],
  [/(^|\s)(-r|--require|--import|--loader|--experimental-loader)(?=[\s=]|$)/, 'code'],
];

/**
 * Reads the process environment; the only place that does.
 * @throws Fault `core.environment` for an unknown SEKISHO_ name, a bad port, or a secret given twice.
 */
export function readEnv(given: EnvSource = process.env): Env {
  const source = withoutServices(given);
  refuseUnknown(source);
  const plain = (name: (typeof PLAIN)[number]): string | null => set(source, `SEKISHO_${name}`);
  return Object.freeze({
    config: plain('CONFIG'),
    data: plain('DATA'),
    host: plain('HOST'),
    port: port(plain('PORT')),
    url: plain('URL'),
    ca: plain('CA'),
    key: secret(source, 'KEY'),
    logKey: plain('LOG_KEY'),
    log: logLevel(plain('LOG')),
    adminKey: secret(source, 'ADMIN_KEY'),
    databaseUrl: secret(source, 'DATABASE_URL'),
    models: plain('MODELS'),
    home: set(source, 'HOME'),
    searchPath: set(source, 'PATH'),
    stateHome: set(source, 'XDG_STATE_HOME'),
    cacheHome: set(source, 'XDG_CACHE_HOME'),
    locale: locale(source),
    dangers: dangers(source),
  });
}

function set(source: EnvSource, name: string): string | null {
  const value = source[name];
  return value === undefined || value === '' ? null : value;
}

function refuseUnknown(source: EnvSource): void {
  const unknown = Object.keys(source).filter((name) => name.startsWith('SEKISHO_') && !KNOWN.includes(name));
  if (unknown.length === 0) return;
  const named = unknown.map((name) => {
    const meant = nearest(name, KNOWN);
    return `${name} is unknown${meant === null ? '' : `; did you mean ${meant}?`}`;
  });
  throw refusal(named.join('; '));
}

function withoutServices(source: EnvSource): EnvSource {
  const chosen = Object.entries(source).filter(
    ([name, value = '']) =>
      !OF_A_SERVICE.test(name) && !(SERVICE_PORT.test(name) && SERVICE_ADDRESS.test(value)),
  );
  return Object.fromEntries(chosen);
}

function logLevel(text: string | null): LogLevel | null {
  if (text === null) return null;
  const level = LOG_LEVELS.find((known) => known === text);
  if (level !== undefined) return level;
  throw refusal(`SEKISHO_LOG: expected one of ${LOG_LEVELS.join(', ')}`);
}

function port(text: string | null): number | null {
  if (text === null) return null;
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= 65_535) return value;
  throw refusal('SEKISHO_PORT: expected a port from 0 to 65535');
}

function secret(source: EnvSource, name: (typeof SECRETS)[number]): Secret | null {
  const variable = `SEKISHO_${name}`;
  const direct = set(source, variable);
  const file = set(source, `${variable}_FILE`);
  if (direct !== null && file !== null) {
    throw refusal(`expected one of ${variable} and ${variable}_FILE, found both`);
  }
  if (file !== null) return new Secret(readTextFile(file, `${variable}_FILE`));
  return direct === null ? null : new Secret(direct);
}

// POSIX order: LC_ALL overrides the category, which overrides LANG.
function locale(source: EnvSource): 'ja' | 'en' {
  const name = set(source, 'LC_ALL') ?? set(source, 'LC_MESSAGES') ?? set(source, 'LANG') ?? '';
  return /^ja([_.@-]|$)/i.test(name) ? 'ja' : 'en';
}

function dangers(source: EnvSource): readonly EnvDanger[] {
  const found: EnvDanger[] = [];
  for (const name of Object.keys(source)) {
    const effect = DANGERS[name.toUpperCase()];
    if (effect !== undefined && set(source, name) !== null) found.push({ name, effect });
  }
  const options = set(source, 'NODE_OPTIONS') ?? '';
  for (const [pattern, effect] of DANGEROUS_OPTIONS) {
    if (pattern.test(options)) found.push({ name: 'NODE_OPTIONS', effect });
  }
  return found;
}

function refusal(message: string): Fault {
  return new Fault('invalid', 'core.environment', message);
}
