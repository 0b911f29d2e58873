/** The one request that a permit for a control destination is good for. */
export interface ControlRequest {
  readonly method: 'GET' | 'POST';
  /** Origin form (RFC 9112 section 3.2.1), query included. */
  readonly path: string;
  /** The longest body; 0 for none. */
  readonly maxBytes: number;
}

/** Says that a decision for this endpoint under this bundle is durable; good for one dispatch. */
export interface Permit {
  readonly rid: string;
  readonly endpoint: string;
  readonly bundle: string;
  /** Null for a prompt, whose decision commits to its body; else all that may be sent. */
  readonly control: ControlRequest | null;
}

// Which permits were minted here and not yet spent: a value of the same shape from elsewhere is not among them. The
// one module-level state of the room, since a permit must mean the same to everyone in the process.
const unspent = new WeakSet<Permit>();

/** Makes a permit. Only the road that has just made the decision durable may call this; a test holds the callers. */
export function mintPermit({ rid, endpoint, bundle, control }: Permit): Permit {
  const permit = Object.freeze({ rid, endpoint, bundle, control });
  unspent.add(permit);
  return permit;
}

/** True once for a permit minted for exactly this endpoint and bundle; a permit shown anywhere is spent by it. */
export function spendPermit(permit: Permit, endpoint: string, bundle: string): boolean {
  return unspent.delete(permit) && permit.endpoint === endpoint && permit.bundle === bundle;
}
