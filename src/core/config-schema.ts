import { z } from 'zod';

import { parseIp, parsePrefix } from './address.ts';

const DEFAULT_PORT = 8420;

const path = z.string().min(1).max(4096);
const address = z.string().refine((text) => parseIp(text) !== null, 'expected an IP address');
const resolver = z.string().refine(isResolver, 'expected an IP address, or one with a port');
const prefix = z
  .string()
  .refine((text) => parsePrefix(text) !== null, 'expected a prefix like 10.0.0.0/8, with zero host bits');
const hostName = z
  .string()
  .max(253)
  .regex(
    /^(?!-)[A-Za-z0-9-]{1,63}(\.(?!-)[A-Za-z0-9-]{1,63})*$/,
    'expected a host name without scheme, port and path',
  );

const tls = z
  .strictObject({
    cert: path.describe('PEM file: the certificate, then its chain'),
    key: path.describe('PEM file: the private key'),
    clientCa: path.optional().describe('PEM file: clients need a certificate of these'),
  })
  .describe('Serve TLS');

const server = z.strictObject({
  host: z
    .union([address, hostName], 'expected an IP address or a host name')
    .default('127.0.0.1')
    .describe('Where to listen; beyond loopback needs tls or trustProxy'),
  port: z.int().min(0).max(65_535).default(DEFAULT_PORT),
  hosts: z
    .array(z.union([address, hostName], 'expected a host name without scheme, port and path'))
    .default([])
    .describe('Host names that requests may carry; loopback names always may'),
  tls: tls.optional(),
  trustProxy: z
    .array(prefix)
    .default([])
    .describe('Prefixes of reverse proxies; without tls, only these and this machine may connect'),
});

const storage = z.strictObject({
  url: z
    .string()
    .regex(/^(sqlite|postgres(ql)?:\/\/.+)$/, 'expected sqlite or postgres://...')
    .default('sqlite'),
});

const ledger = z.strictObject({
  anchor: path
    .optional()
    .describe('Directory outside the data directory that keeps the last signed checkpoint'),
  keys: path
    .optional()
    .describe('Directory of the log’s secret keys, such as a mounted secret store; DATA/keys unless named'),
});

const egress = z.strictObject({
  resolvers: z.array(resolver).default([]).describe('DNS servers; empty is those of the system'),
  ca: path.optional().describe('PEM file: the organisation certificates that endpoints may also chain to'),
  timeout: z
    .int()
    .min(1)
    .max(3600)
    .default(600)
    .describe('Seconds until the first byte of an answer, and between two pieces of it'),
});

const seconds = (most: number): z.ZodInt => z.int().min(1).max(most);
const concurrency = z.int().min(1).max(256);
const queue = z.int().min(0).max(65_536);

const breaker = z.strictObject({
  failures: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(5)
    .describe('Failures in a row after which an endpoint is left alone'),
  pause: seconds(3600).default(10).describe('Seconds until one request may try it again'),
});

const health = z.strictObject({
  every: seconds(3600)
    .default(10)
    .describe('Seconds between two checks of a provider whose record names a path for them'),
  timeout: seconds(60).default(5).describe('Seconds after which a check has failed'),
  failures: z
    .int()
    .min(1)
    .max(1000)
    .default(3)
    .describe("Failing checks in a row after which the provider's endpoints are left alone"),
});

const routing = z.strictObject({
  wait: seconds(600)
    .default(10)
    .describe('Seconds that a request may spend waiting for a place at an endpoint or for a repeat'),
  repeats: z
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe(
      'How often a request asks an endpoint again that failed before any of the answer was passed on',
    ),
  concurrency: concurrency.default(256).describe('Requests at one endpoint at a time'),
  queue: queue.default(1024).describe('Requests that wait for a place at one endpoint'),
  breaker: breaker.prefault({}),
  health: health.prefault({}),
  endpoints: z
    .record(
      z.string().regex(/^[^/]+\/.+$/, 'expected provider/model'),
      z.strictObject({ concurrency: concurrency.optional(), queue: queue.optional() }),
    )
    .default({})
    .describe('Limits of single endpoints, by provider/model'),
});

/** `sekisho.yaml`: the process, which cannot change what is allowed. */
export const configSchema = z.strictObject({
  server: server.prefault({}),
  storage: storage.prefault({}),
  ledger: ledger.prefault({}),
  egress: egress.prefault({}),
  routing: routing.prefault({}),
  secrets: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'expected a name of a-z, 0-9, - and _'),
      z.strictObject({ file: path }),
    )
    .default({})
    .describe('Names that governance refers to, each with the file that holds the value'),
  governance: path.default('./governance').describe('Directory of drafts that become signed bundles'),
});

/** What the file says, defaults filled in, paths as written. */
export type ConfigText = z.output<typeof configSchema>;

/** JSON Schema (2020-12) of `sekisho.yaml`. */
export function configJsonSchema(): Record<string, unknown> {
  return {
    title: 'sekisho.yaml',
    description: 'The process configuration of a Sekisho site.',
    ...z.toJSONSchema(configSchema, { io: 'input' }),
  };
}

// 10.0.0.53, 10.0.0.53:5353, fd00::53 or [fd00::53]:5353.
function isResolver(text: string): boolean {
  if (parseIp(text) !== null) return true;
  const [, four, six, port] = /^(?:([\d.]+)|\[([\da-fA-F:.]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const right = parseIp(four ?? six ?? '')?.family === (four === undefined ? 6 : 4);
  return right && Number(port) > 0 && Number(port) <= 65_535;
}
