import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate with its key, signed by another or by itself. */
export interface Identity {
  readonly name: string;
  readonly cert: string;
  readonly key: string;
  /** `sha256:<hex of DER SPKI>`. */
  readonly spki: string;
}

export interface IdentityOptions {
  readonly name: string;
  readonly by?: Identity;
  readonly ca?: boolean;
  /** DNS names and IPv4 addresses. */
  readonly hosts?: readonly string[];
  /** `YYMMDDHHMMSSZ`. */
  readonly notAfter?: string;
  /** Reuses the key of another. */
  readonly keyOf?: Identity;
}

const ECDSA_SHA256 = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
let serial = 1;

/** Makes an X.509 v3 certificate (RFC 5280) with a P-256 key. */
export function identity(options: IdentityOptions): Identity {
  const key = options.keyOf?.key ?? freshKey();
  const spki = createPublicKey(createPrivateKey(key)).export({ type: 'spki', format: 'der' });
  const tbs = sequence(
    tlv(0xa0, integer(2)),
    integer(serial++),
    ECDSA_SHA256,
    commonName(options.by?.name ?? options.name),
    sequence(tlv(0x17, '200101000000Z'), tlv(0x17, options.notAfter ?? '491231235959Z')),
    commonName(options.name),
    spki,
    tlv(0xa3, sequence(...extensions(options))),
  );
  const signature = sign('sha256', tbs, createPrivateKey(options.by?.key ?? key));
  const der = sequence(tbs, ECDSA_SHA256, tlv(0x03, Buffer.concat([Buffer.of(0), signature])));
  const body = der
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n');
  return {
    name: options.name,
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key,
    spki: `sha256:${createHash('sha256').update(spki).digest('hex')}`,
  };
}

function freshKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

function extensions(options: IdentityOptions): Buffer[] {
  const basic = extension('551d13', sequence(...(options.ca === true ? [tlv(0x01, Buffer.of(0xff))] : [])));
  if (options.hosts === undefined) return [basic];
  const names = options.hosts.map((host) =>
    isIPv4(host) ? tlv(0x87, Buffer.from(host.split('.').map(Number))) : tlv(0x82, host),
  );
  return [basic, extension('551d11', sequence(...names))];
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(tlv(0x06, Buffer.from(oid, 'hex')), tlv(0x04, value));
}

function commonName(name: string): Buffer {
  return sequence(tlv(0x31, sequence(tlv(0x06, Buffer.from('550403', 'hex')), tlv(0x0c, name))));
}

function integer(value: number): Buffer {
  return tlv(0x02, Buffer.of(value >> 8, value & 0xff).subarray(value < 128 ? 1 : 0));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function tlv(tag: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const { length } = bytes;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), bytes]);
}
