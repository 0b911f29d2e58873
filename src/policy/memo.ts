/** Values that hold for an interval of time, least recently used out first; `capacity` bounds the sum of weights. */
export class IntervalMemo<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #capacity: number;
  #weight = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Sum of the weights held. */
  get weight(): number {
    return this.#weight;
  }

  /** The value under `key` if it holds at `now`; a clock that stepped back before its interval misses too. */
  get(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (now < entry.from || now >= entry.until) return undefined;
    // Map keeps insertion order; moving on every hit would cost more than an occasional wrong eviction.
    entry.used = true;
    return entry.value;
  }

  set(key: string, value: V, facts: { from: number; until: number; weight: number }): void {
    this.#drop(key);
    this.#entries.set(key, { value, ...facts, used: false });
    this.#weight += facts.weight;
    while (this.#weight > this.#capacity) this.#evict();
  }

  // Second chance: what was used since it came up last goes to the back once more.
  #evict(): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.used) {
        this.#drop(key);
        return;
      }
      entry.used = false;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#weight -= entry.weight;
  }
}

interface Entry<V> {
  readonly value: V;
  /** ms since 1970. */
  readonly from: number;
  readonly until: number;
  readonly weight: number;
  used: boolean;
}
