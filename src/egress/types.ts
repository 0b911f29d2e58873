/** The refusals of the connector, by the guard that refused. Documented in docs/egress.md. */
export type Guard =
  | 'redirect'
  | 'address'
  | 'literal'
  | 'host'
  | 'resolver'
  | 'certificate'
  | 'pin'
  | 'scheme'
  | 'header'
  | 'permit'
  | 'posture'
  | 'digest'
  | 'bundle';

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
  /** The organisation's own CONNECT proxy for this provider. */
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
 * more was sent; `egress.unreachable` before any byte of the request left; `egress.interrupted` after.
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
