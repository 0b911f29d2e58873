import { isUtf8 } from 'node:buffer';
import { isRecord } from '../json-body.ts';
import { EventSplitter, type StreamEvent } from '../../core/sse.ts';
import { garbage, transportFailure, type Failure } from './outcome.ts';
import { Refusal } from './refusal.ts';
import type { Relay, RelayContext, Relayed, Traffic } from './relay.ts';

/** The data of the event that ends a good stream. */
const DONE = '[DONE]';

/**
 * Passes a stream on event by event, as it comes. The event that ends it is held back for the caller to send, and an
 * answer that stops without it, or turns into garbage, settles as failed: a dead stream never ends like a good one.
 */
export function streamRelay(context: RelayContext): Relay {
  return new StreamRelay(context);
}

class StreamRelay implements Relay {
  readonly traffic: Traffic = { received: 0 };
  readonly settled: Promise<Relayed>;
  readonly handler = {
    onHead: (status: number, headers: Readonly<Record<string, string>>): void =>
      this.#onHead(status, headers),
    onData: (chunk: Buffer): boolean => this.#onData(chunk),
    onEnd: (): void => this.#fail(this.#refusal?.failure() ?? garbage(this.#context.endpoint)),
    onError: (error: Error): void =>
      this.#settle({ kind: 'failed', http: this.#http, failure: this.#broken(error) }),
  };
  readonly #context: RelayContext;
  readonly #resolve: (relayed: Relayed) => void;
  readonly #splitter = new EventSplitter();
  #http: number | null = null;
  #refusal: Refusal | null = null;
  #begun = false;
  #over = false;

  constructor(context: RelayContext) {
    this.#context = context;
    const { promise, resolve } = Promise.withResolvers<Relayed>();
    this.settled = promise;
    this.#resolve = resolve;
  }

  begun(): boolean {
    return this.#begun;
  }

  clientGone(): void {
    this.#context.abort();
    this.#settle({ kind: 'client-gone', http: this.#http });
  }

  #onHead(status: number, headers: Readonly<Record<string, string>>): void {
    this.#http = status;
    if (status !== 200) {
      this.#refusal = new Refusal(this.#context.endpoint, status, headers);
      if (this.#refusal.over) this.#fail(this.#refusal.failure());
    } else if (!/^text\/event-stream\s*(;|$)/i.test(headers['content-type'] ?? '')) {
      this.#fail(garbage(this.#context.endpoint));
    }
  }

  #onData(chunk: Buffer): boolean {
    this.traffic.received += chunk.length;
    if (this.#over) return true;
    if (this.#refusal !== null) {
      this.#refusal.take(chunk);
      if (this.#refusal.over) this.#fail(this.#refusal.failure());
      return true;
    }
    const events = this.#splitter.push(chunk);
    if (events === null) {
      this.#fail(garbage(this.#context.endpoint));
      return true;
    }
    return this.#pass(events);
  }

  // Events that arrived together leave together: one write, one commitment update. Comments before the first chunk are
  // dropped: until then the reply has no head, so that a failure can still be told by a status.
  #pass(events: readonly StreamEvent[]): boolean {
    const good: Buffer[] = [];
    let answered = this.#begun;
    let ending: Relayed | null = null;
    for (const { bytes, data } of events) {
      if (data === DONE && answered) ending = { kind: 'streamed', http: this.#http ?? 0, terminal: bytes };
      else if (data !== null && !(isUtf8(bytes) && isChunk(data))) ending = this.#garbled();
      if (ending !== null) break;
      answered ||= data !== null;
      if (answered) good.push(bytes);
    }
    const flowing = good.length === 0 || this.#write(good);
    if (ending !== null) this.#settle(ending);
    if (ending?.kind === 'streamed') this.#context.answered();
    return flowing;
  }

  #write(events: readonly Buffer[]): boolean {
    const [first] = events;
    const bytes = events.length === 1 && first !== undefined ? first : Buffer.concat(events);
    if (!this.#begun) {
      this.#begun = true;
      this.#context.begin();
    }
    this.#context.committed(bytes);
    const flowing = this.#context.reply.write(bytes);
    if (!flowing) this.#context.reply.onDrain(this.#context.resume);
    return flowing;
  }

  #garbled(): Relayed {
    this.#context.abort();
    return { kind: 'failed', http: this.#http, failure: garbage(this.#context.endpoint) };
  }

  #broken(error: Error): Failure {
    return this.#refusal?.failure() ?? transportFailure(this.#context.endpoint, error, this.#http);
  }

  #fail(failure: Failure): void {
    if (this.#over) return;
    this.#context.abort();
    this.#settle({ kind: 'failed', http: this.#http, failure });
  }

  #settle(relayed: Relayed): void {
    this.#over = true;
    this.#resolve(relayed);
  }
}

function isChunk(data: string): boolean {
  try {
    const value: unknown = JSON.parse(data);
    return isRecord(value) && Array.isArray(value['choices']) && value['error'] === undefined;
  } catch {
    return false;
  }
}
