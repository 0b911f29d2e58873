import { Fault } from '../../core/fault.ts';

/** Lets one costly answer be worked out at a time, and a few wait for theirs. */
export class OneByOne {
  readonly #places: number;
  #taken = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(places: number) {
    this.#places = places;
  }

  /** @throws Fault `server.busy` when all places are taken. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#places)
      throw new Fault('exhausted', 'server.busy', 'too many such questions at once; ask again in a moment');
    this.#taken += 1;
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#taken -= 1;
    }
  }
}
