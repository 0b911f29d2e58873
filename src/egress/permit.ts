/** Says that a decision for this endpoint under this bundle is durable; good for one dispatch. */
export interface Permit {
  readonly rid: string;
  readonly endpoint: string;
  readonly bundle: string;
}

// Which permits were minted here and not yet spent: a value of the same shape from elsewhere is not among them. The
// one module-level state of the room, since a permit must mean the same to everyone in the process.
const unspent = new WeakSet<Permit>();

/** Makes a permit. Only the road that has just made the decision durable may call this; a test holds the callers. */
export function mintPermit(facts: Permit): Permit {
  const permit = Object.freeze({ rid: facts.rid, endpoint: facts.endpoint, bundle: facts.bundle });
  unspent.add(permit);
  return permit;
}

/** True once for a permit minted for exactly this endpoint and bundle; a permit shown anywhere is spent by it. */
export function spendPermit(permit: Permit, endpoint: string, bundle: string): boolean {
  return unspent.delete(permit) && permit.endpoint === endpoint && permit.bundle === bundle;
}
