/** What went wrong, in the eight ways that an edge must tell apart. */
export type FaultKind =
  | 'invalid'
  | 'unauthenticated'
  | 'denied'
  | 'missing'
  | 'conflict'
  | 'exhausted'
  | 'unavailable'
  | 'internal';

export type FaultDetails = Readonly<Record<string, unknown>>;

/**
 * The one error that rooms throw. `code` is `<room>.<what>`; `message` is lower case, says what was expected and
 * what was found, and holds no secret and no prompt text; `details` is safe to show.
 */
export class Fault extends Error {
  readonly kind: FaultKind;
  readonly code: string;
  readonly details: FaultDetails;

  constructor(
    kind: FaultKind,
    code: string,
    message: string,
    options: { details?: FaultDetails; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.kind = kind;
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Any thrown value as a Fault; what is not one already becomes `internal`, whose message no edge shows. */
export function toFault(thrown: unknown, code = 'core.unexpected'): Fault {
  if (thrown instanceof Fault) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault('internal', code, message, { cause: thrown });
}
