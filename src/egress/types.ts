import type { Permit } from './permit.ts';

/** The refusals of the connector, by the guard that refused. Documented in docs/egress.md. */
export const GUARDS = [
  'permit',
  'bundle',
  'scheme',
  'host',
  'literal',
  'resolver',
  'address',
  'posture',
  'certificate',
  'pin',
  'proxy',
  'header',
  'redirect',
  'digest',
  'size',
] as const;
export type Guard = (typeof GUARDS)[number];

/** Where prompts may go: the network facts of a signed provider record. */
export interface EndpointNetwork {
  /** `provider/model`, for messages. */
  readonly endpoint: string;
  readonly url: string;
  readonly hosts: readonly string[];
  /** CIDR prefixes; the address actually connected must lie in one. */
  readonly addresses: readonly string[];
  /** `sha256:<hex of DER SPKI>`: two at least, or empty when an issuer is named, or for plain http on loopback. */
  readonly pins: readonly string[];
  /** `sha256:<hex of DER SPKI>` of a certificate that must stand in the verified chain. */
  readonly issuer: string | null;
  /**
   * The organisation's own CONNECT proxy for this provider, `http://host:port`. The address connected is then the
   * proxy's, so `addresses` lists the proxy's prefixes and the certificate speaks for the far side.
   */
  readonly proxy: string | null;
}

/** What the socket showed; `peer` is `ip:port`, IPv6 in brackets. */
export interface Observed {
  readonly spki: string | null;
  readonly connectMs: number;
  readonly peer: string;
}

/** A request as it goes out; headers outside the allow-list are refused, not dropped. */
export interface EgressRequest {
  readonly method: 'POST' | 'GET';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  /** Milliseconds until the first byte of the answer, and between two pieces of it. */
  readonly timeoutMs: number;
}

/**
 * Receives one answer: `onHead` at most once, then `onData` any number of times, then exactly one of `onEnd` and
 * `onError`. `onError` gets a Fault: `egress.denied` (details.guard) when a guard refused, so that nothing or nothing
 * more was sent; `egress.unreachable` before any byte of the request left; `egress.interrupted` after (details.silent when nothing came for too long);
 * `egress.garbage` when the answer is no HTTP answer that can be passed on. Refused and garbled answers, timeouts and
 * aborts end the socket.
 */
export interface EgressHandler {
  onHead(status: number, headers: Readonly<Record<string, string>>): void;
  /** False asks for a pause until `resume()`. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onError(fault: Error): void;
}

export interface EgressCall {
  resume(): void;
  /** Ends the exchange and its socket; no handler is called afterwards. */
  abort(): void;
  /** Null until a socket was connected for this request. */
  observed(): Observed | null;
}

/** The connections of one endpoint under one bundle. */
export interface EndpointChannel {
  /** Sends one request; the permit is spent by the attempt, whatever becomes of it. Handler calls come later, never inside. */
  dispatch(permit: Permit, request: EgressRequest, handler: EgressHandler): EgressCall;
}

/** A file to fetch by GET; what arrives must have this digest. */
export interface ArtifactRequest {
  readonly url: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly maxBytes: number;
  /** Where the URL and every redirect may point: names, or IP literals on loopback. */
  readonly hosts: readonly string[];
  /** CIDR prefixes of the address connected; null allows the public internet and nothing private. */
  readonly addresses: readonly string[] | null;
  /** `http://host:port` of the organisation's CONNECT proxy; `addresses` must then list its prefixes. */
  readonly proxy: string | null;
  /** The finished file; `<path>.part` holds what has arrived so far and is resumed. */
  readonly path: string;
  /** Milliseconds until the first byte of an answer, and between two pieces of it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  onProgress(received: number, total: number | null): void;
}

export interface ArtifactResult {
  readonly bytes: number;
  /** Where the bytes came from in the end, after redirects. */
  readonly url: string;
  readonly observed: Observed;
}

/** The only outbound sockets of the process. Disposal ends every connection at once. */
export interface Egress extends AsyncDisposable {
  /**
   * The channel to an endpoint under a bundle; asking again gives the same one.
   * @throws Fault `egress.denied` when the record's own facts already refuse (scheme, host, literal, pin, bundle);
   * `egress.invalid_network` when they cannot be read.
   */
  endpoint(network: EndpointNetwork, bundle: string): EndpointChannel;
  /**
   * The bundle no longer runs: idle connections close at once, and what was permitted under it, running or not yet
   * sent, has `graceMs` (60 s unless given).
   */
  retire(bundle: string, graceMs?: number): void;
  /** Fetches a file; throws Fault `egress.denied`, `egress.unreachable`, `egress.interrupted` or `egress.garbage`. */
  artifact(request: ArtifactRequest): Promise<ArtifactResult>;
  /** True for sockets that this egress opened. */
  owns(socket: object): boolean;
}
