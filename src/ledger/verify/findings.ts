/** What a process that verifies ends with: 0 valid, 1 invalid, 2 unusable or not comparable. */
export type Exit = 0 | 1 | 2;

/** Hostile or unusable input met where nothing further can be judged. */
export class Defect extends Error {
  readonly exit: 1 | 2;

  constructor(exit: 1 | 2, message: string) {
    super(message);
    this.name = 'Defect';
    this.exit = exit;
  }
}

/** The failed checks of one receipt, collected so that a reader sees all of them at once. */
export class Findings {
  readonly invalid: string[] = [];
  readonly unusable: string[] = [];
  readonly incomparable: string[] = [];

  /** Adds a Defect to its list; anything else that was thrown is a mistake of ours and goes on. */
  add(thrown: unknown): void {
    if (!(thrown instanceof Defect)) throw thrown;
    (thrown.exit === 1 ? this.invalid : this.unusable).push(thrown.message);
  }
}
