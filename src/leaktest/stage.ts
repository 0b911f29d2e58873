import { toFault } from '../core/fault.ts';
import type { Clock } from '../core/world.ts';
import { encodingsOf, type Canary } from './canary.ts';
import type { Finding, Gateway, Scene } from './types.ts';
import { ask, type Asked, type Reply } from './world/client.ts';
import type { LeakWorld } from './world/world.ts';

export interface StageOptions {
  readonly world: LeakWorld;
  readonly canary: Canary;
  readonly clock: Clock;
  /** Starts a gateway, or gives the one of this scene that runs. */
  open(scene: Scene): Promise<Gateway>;
}

/** What a case uses to try its way out, and where it says what it found. */
export class Stage {
  readonly world: LeakWorld;
  readonly canary: Canary;
  readonly clock: Clock;
  readonly findings: Finding[] = [];
  attempts = 0;
  /** Questions that the name server may hear, `A name`. */
  readonly mayAsk = new Set<string>();
  readonly #options: StageOptions;

  constructor(options: StageOptions) {
    this.world = options.world;
    this.canary = options.canary;
    this.clock = options.clock;
    this.#options = options;
  }

  open(scene: Scene): Promise<Gateway> {
    return this.#options.open(scene);
  }

  leak(text: string): void {
    this.findings.push({ kind: 'leak', text });
  }

  flaw(text: string): void {
    this.findings.push({ kind: 'reason', text });
  }

  /** Sends a request; an answer that is no success must not hold the canary. */
  async ask(gateway: Gateway, asked: Asked): Promise<Reply> {
    this.attempts += 1;
    const reply = await ask(gateway.url, { ...asked, headers: { ...gateway.headers, ...asked.headers } });
    return reply;
  }

  /** A chat whose prompt is a canary. */
  chat(
    gateway: Gateway,
    body: Readonly<Record<string, unknown>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const messages = [{ role: 'user', content: this.canary.at('prompt') }];
    return this.ask(gateway, {
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ messages, ...body }),
    });
  }

  /** The gateway must still serve what is allowed: a gateway that is down stops everything. */
  works(reply: Reply): void {
    if (reply.status !== 200)
      throw new Error(`expected an answer of the domestic provider, found ${told(reply)}`);
  }

  /** A refusal by code, with its leaf: `deny` in the decision, or the outcome `refused`. */
  async refused(gateway: Gateway, reply: Reply, code: string, guard: string | null = null): Promise<void> {
    if (!gateway.reasons) return;
    const error = member(parsed(reply.text), 'error');
    const found = [
      member(error, 'code'),
      guard === null ? null : member(member(error, 'innererror'), 'guard'),
    ];
    if (found[0] !== code || found[1] !== guard)
      this.flaw(
        `expected the code ${code}${guard === null ? '' : ` and the guard ${guard}`}, found ${told(reply)}`,
      );
    await this.#leaf(gateway, reply, guard);
  }

  /** A start that must be refused, and what is tried when it is not. */
  async refusesToStart(
    scene: Scene,
    reason: RegExp,
    otherwise: (gateway: Gateway) => Promise<void>,
  ): Promise<void> {
    this.attempts += 1;
    let gateway: Gateway;
    try {
      gateway = await this.open(scene);
    } catch (thrown) {
      const fault = toFault(thrown);
      if (fault.code !== 'leaktest.refused_start') throw thrown;
      if (!reason.test(fault.message))
        this.flaw(`refused to start without naming the reason: ${fault.message}`);
      return;
    }
    await otherwise(gateway);
  }

  /** The text must not hold the canary. */
  free(text: string, where: string): void {
    const found = encodingsOf(this.canary.word, text);
    if (found.length > 0) this.leak(`the canary lies in ${where} (${found.join(', ')})`);
  }

  async #leaf(gateway: Gateway, reply: Reply, guard: string | null): Promise<void> {
    const id = reply.headers['sekisho-receipt'];
    if (id === undefined) return this.flaw(`the refusal has no receipt: ${told(reply)}`);
    const path = `/v1/receipts/${id}?wait=5`;
    const receipt = parsed((await ask(gateway.url, { method: 'GET', path, headers: gateway.headers })).text);
    const attempts = member(receipt, 'attempts');
    const last: unknown = Array.isArray(attempts) ? attempts.at(-1) : null;
    const decision = leafOf(member(last, 'decision'));
    const outcome = leafOf(member(last, 'outcome'));
    const right =
      guard === null
        ? member(decision, 'effect') === 'deny'
        : member(outcome, 'status') === 'refused' && member(outcome, 'code') === guard;
    if (!right) this.flaw(`no leaf records the refusal of ${id}`);
  }
}

function leafOf(stored: unknown): unknown {
  const entry = member(stored, 'entry');
  return typeof entry === 'string' ? parsed(Buffer.from(entry, 'base64').toString('utf8')) : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : null;
}

function told({ status, text }: Reply): string {
  return `${status} ${text.slice(0, 200)}`;
}
