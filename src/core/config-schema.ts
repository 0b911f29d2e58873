import { z } from 'zod';

import { parseIp, parsePrefix } from './address.ts';

const DEFAULT_PORT = 8420;

const path = z.string().min(1).max(4096);
const address = z.string().refine((text) => parseIp(text) !== null, 'expected an IP address');
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
});

const egress = z.strictObject({
  resolvers: z.array(address).default([]).describe('DNS servers; empty is those of the system'),
  ca: path.optional().describe('PEM file: the organisation certificates that endpoints may also chain to'),
  timeout: z
    .int()
    .min(1)
    .max(3600)
    .default(600)
    .describe('Seconds until the first byte of an answer, and between two pieces of it'),
});

/** `sekisho.yaml`: the process, which cannot change what is allowed. */
export const configSchema = z.strictObject({
  server: server.prefault({}),
  storage: storage.prefault({}),
  ledger: ledger.prefault({}),
  egress: egress.prefault({}),
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
