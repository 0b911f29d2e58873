import type { Dispatcher } from 'undici';
import { Fault, toFault } from '../core/fault.ts';
import { answerTrouble, flatHeaders } from './answer.ts';
import type { Lane } from './lane.ts';
import { garbage, interrupted, refusal, silent, unreachable } from './refusal.ts';
import type { EgressCall, EgressHandler, EgressRequest, Observed } from './types.ts';

/** Interim answers (RFC 9110 section 15.2) to one request. */
const MAX_INTERIM = 16;

/** Who lends lanes to an exchange. */
export interface LaneOwner {
  /** The lane carried its exchange to a clean end. */
  release(lane: Lane): void;
  /** The lane was dead before the first byte was written; the exchange may have another. */
  again(exchange: Exchange): void;
  /** The exchange is over and needs no lane any more. */
  gone(exchange: Exchange): void;
  /** A fault is about to reach the handler, or was thrown by it. */
  report(fault: Fault): void;
}

export interface ExchangeOptions {
  readonly request: EgressRequest;
  /** Name and value in turn, all that goes out beside host, connection and content-length. */
  readonly headers: string[];
  readonly handler: EgressHandler;
  /** What to do with a 3xx answer. */
  readonly redirects: 'refuse' | 'pass';
}

/** One request and its answer, on a lane. */
export class Exchange implements EgressCall, Dispatcher.DispatchHandler {
  readonly #owner: LaneOwner;
  readonly #options: ExchangeOptions;
  #connecting: AbortController | null = null;
  #lane: Lane | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #interims = 0;
  #silent = false;
  #over = false;

  constructor(owner: LaneOwner, options: ExchangeOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Aborted when the exchange ends before it has a lane. */
  connectSignal(): AbortSignal {
    this.#connecting = new AbortController();
    return this.#connecting.signal;
  }

  ride(lane: Lane): void {
    const { request, headers } = this.#options;
    this.#connecting = null;
    this.#lane = lane;
    lane.dispatch(
      {
        path: request.path,
        method: request.method,
        headers,
        body: request.body,
        headersTimeout: request.timeoutMs,
        bodyTimeout: request.timeoutMs,
        idempotent: false,
      },
      this,
    );
  }

  /** Ends the exchange with a fault, which the handler hears in a microtask. */
  fail(fault: Fault): void {
    if (this.#over) return;
    this.#end(fault);
    queueMicrotask(() => {
      if (this.#silent) return;
      this.#owner.report(fault);
      this.#options.handler.onError(fault);
    });
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    this.#silent = true;
    if (!this.#over) this.#end(interrupted('the exchange was given up'));
  }

  observed(): Observed | null {
    return this.#lane === null ? null : this.#lane.observed;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: HeadersIn): void {
    // RFC 9110 section 15.2: an interim answer announces another.
    if (this.#over) return;
    if (status < 200) return this.#interim();
    if (status >= 300 && status < 400 && this.#options.redirects === 'refuse')
      return this.fail(refusal('redirect', `the far side answered ${status}`));
    const flat = flatHeaders(headers);
    const trouble = answerTrouble(status, flat);
    if (trouble !== null) return this.fail(garbage(trouble));
    if (this.#lane !== null && flat['connection']?.toLowerCase().includes('close')) this.#lane.last = true;
    this.#options.handler.onHead(status, flat);
  }

  // Each one starts the time anew in which an answer must come.
  #interim(): void {
    this.#interims += 1;
    if (this.#interims > MAX_INTERIM) this.fail(garbage('interim answers without end'));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // Resuming makes the parser hand out an empty piece, which says nothing and must not ask for another pause.
    if (this.#over || chunk.length === 0) return;
    if (!this.#options.handler.onData(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    const lane = this.#lane;
    if (lane !== null) this.#owner.release(lane);
    try {
      this.#options.handler.onEnd();
    } catch (thrown) {
      // The client would swallow it, and the exchange has already ended well.
      this.#owner.report(toFault(thrown, 'egress.handler_failed'));
    }
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return;
    const started = this.#controller !== null;
    // Nothing was written, so asking again repeats nothing.
    if (!started && this.#lane?.used === true) {
      this.#lane.destroy(error);
      this.#lane = null;
      this.#owner.again(this);
      return;
    }
    this.fail(started ? exchangeFault(error) : unreachableFault(error));
  }

  #end(fault: Fault): void {
    this.#over = true;
    this.#connecting?.abort();
    if (this.#controller === null) this.#lane?.destroy(fault);
    else this.#controller.abort(fault);
    this.#owner.gone(this);
  }
}

type HeadersIn = Readonly<Record<string, string | string[] | undefined>>;

function unreachableFault(error: Error): Fault {
  return error instanceof Fault
    ? error
    : unreachable('the connection closed before anything was sent', error);
}

function exchangeFault(error: Error): Fault {
  if (error instanceof Fault)
    return error.code === 'egress.unreachable' ? interrupted('the connection closed', error) : error;
  const code = 'code' in error ? error.code : undefined;
  // A chunked body that ended before its last chunk.
  if (/\(Invalid EOF state\)/.test(error.message)) return interrupted('the connection closed', error);
  if (error.name === 'HTTPParserError') return garbage('the answer is not HTTP/1.1', error);
  switch (code) {
    case undefined:
      return toFault(error, 'egress.handler_failed');
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return silent('the far side fell silent', error);
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return garbage('the answer has another length than it says', error);
    case 'UND_ERR_HEADERS_OVERFLOW':
      return garbage('the head of the answer is too long', error);
    default:
      return interrupted('the connection broke', error);
  }
}
