import { z } from 'zod';
import { Fault } from '../../core/fault.ts';
import { readVkey, type TreeHead } from '../note.ts';
import { Defect } from '../verify/findings.ts';
import type { RemoteLog } from './remote-log.ts';
import { followLog, type Alarm, type Bounds, type ForkProof } from './round.ts';
import type { StateFile } from './state-file.ts';
import { MAX_LOGS, newLogState, type LogState } from './state.ts';

/** What is watched: a whole site, whose list of logs is compared with the keys, or one log. */
export interface Watched {
  /** Reads below the address that was given. */
  readonly remote: RemoteLog;
  readonly isOneLog: boolean;
  readonly vkeys: readonly string[];
  readonly bounds: Bounds;
}

/** What a round says of one log. */
export interface LogReport {
  readonly origin: string;
  readonly head: TreeHead | null;
  readonly alarms: readonly Alarm[];
  readonly unreached: string | null;
  /** How many entries were read for their outcomes; null when they are not. */
  readonly read: number | null;
}

const listing = z.object({
  logs: z
    .array(
      z.object({
        vkey: z.string(),
        url: z.string().regex(/^\/(?:[\w-]+\/)*[\w-]+$/),
        ended: z.boolean().optional(),
      }),
    )
    .max(MAX_LOGS),
});
type Listing = z.infer<typeof listing>['logs'];

const LISTING_BYTES = 64 << 10;

/** Follows the logs of a site by one state file, one round at a time. */
export class Monitor {
  readonly #watched: Watched;
  readonly #file: StateFile;
  #logs: readonly LogState[];

  private constructor(watched: Watched, file: StateFile, logs: readonly LogState[]) {
    this.#watched = watched;
    this.#file = file;
    this.#logs = logs;
  }

  /** @throws Fault `ledger.monitor_state` when the state is damaged or that of a log whose key is not given. */
  static async open(watched: Watched, file: StateFile, now: number): Promise<Monitor> {
    const known = await file.read();
    const stranger = known.find(({ vkey, after }) => after === null && !watched.vkeys.includes(vkey));
    if (stranger !== undefined)
      throw new Fault(
        'invalid',
        'ledger.monitor_state',
        `the state is that of ${readVkey(stranger.vkey).name}, whose key is not given; name another file with --state, or give its key too`,
      );
    const given = watched.vkeys.map(
      (vkey) => known.find((one) => one.vkey === vkey) ?? newLogState(vkey, null, now),
    );
    const logs = [...given, ...known.filter(({ vkey }) => !watched.vkeys.includes(vkey))];
    // Silence counts from the first time that a log was asked, whether it ever answered or not.
    if (logs.length > known.length) await file.write(logs);
    return new Monitor(watched, file, logs);
  }

  /**
   * Asks every log once and keeps what it saw, which is durable before it is reported.
   * @throws Fault kind `denied` when a key is refused, `ledger.unavailable` when the state cannot be written.
   */
  async round(now: number): Promise<readonly LogReport[]> {
    const listed = await this.#list();
    const reports: LogReport[] = [];
    // A log that has ended may add the one that it names.
    for (let at = 0; at < this.#logs.length; at++) {
      const before = this.#logs[at];
      if (before === undefined) break;
      const bounds = this.#bounds(before, listed);
      const round = await followLog(this.#place(before, listed), before, { bounds, now });
      const state = round.fork === null ? round.state : await this.#keepFork(round.state, round.fork);
      await this.#remember(state);
      const { head, alarms, unreached } = round;
      const read = bounds.outcomeMs === null ? null : state.reading.size;
      reports.push({ origin: readVkey(state.vkey).name, head, alarms, unreached, read });
      if (alarms.length === 0 && unreached === null && read === head?.size)
        await this.#follow(state, listed, now);
    }
    return [...reports, ...this.#unknown(listed)];
  }

  // A log that ended signs nothing new: its silence is judged by the log after it, whose key was given or vouched for.
  #bounds({ vkey }: LogState, listed: Listing | string): Bounds {
    const { bounds } = this.#watched;
    if (typeof listed === 'string') return bounds;
    const hasEnded = listed.some((one) => one.vkey === vkey && one.ended === true);
    const isFollowed = listed.some((one) => one.ended !== true && this.#knows(one.vkey));
    return hasEnded && isFollowed ? { ...bounds, silenceMs: null } : bounds;
  }

  // The last leaf of a log, read and proven, is its key's word for the key after it.
  async #follow({ vkey, reading }: LogState, listed: Listing | string, now: number): Promise<void> {
    const { successor } = reading;
    if (successor === null || typeof listed === 'string' || this.#knows(successor)) return;
    if (!listed.some((one) => one.vkey === successor) || this.#logs.length >= MAX_LOGS) return;
    if (!isVkey(successor)) return;
    this.#logs = [...this.#logs, newLogState(successor, vkey, now)];
    await this.#file.write(this.#logs);
  }

  #knows(vkey: string): boolean {
    return this.#logs.some((one) => one.vkey === vkey);
  }

  async #list(): Promise<Listing | string> {
    const { remote, isOneLog, vkeys } = this.#watched;
    if (isOneLog) return vkeys.map((vkey) => ({ vkey, url: '', ended: false }));
    try {
      const bytes = await remote.read('/ledger', LISTING_BYTES);
      const read = listing.safeParse(bytes === null ? null : jsonOf(bytes));
      return read.success ? read.data.logs : 'the site gives no list of its logs that can be read';
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== 'unavailable') throw thrown;
      return thrown.message;
    }
  }

  #place({ vkey }: LogState, listed: Listing | string): RemoteLog | string {
    if (typeof listed === 'string') return listed;
    const found = listed.find((one) => one.vkey === vkey);
    if (found === undefined) return 'the site does not list this log';
    const { remote } = this.#watched;
    return { read: (path, limit) => remote.read(`${found.url}/${path}`, limit) };
  }

  // A log that nobody vouches for may be one that hides from whoever follows the other.
  #unknown(listed: Listing | string): readonly LogReport[] {
    if (typeof listed === 'string') return [];
    return listed
      .filter(({ vkey }) => !this.#knows(vkey))
      .map(({ vkey, url }) => {
        const message = `the site lists a log at ${url} whose key was not given, and no log that is followed names it as its successor: ${vkey}`;
        const alarms = [{ kind: 'unknown-log', message } as const];
        return { origin: url, head: null, alarms, unreached: null, read: null };
      });
  }

  async #keepFork(state: LogState, fork: ForkProof): Promise<LogState> {
    if (state.fork !== null) return state;
    const file = await this.#file.keep(readVkey(state.vkey).id, { vkey: state.vkey, ...fork });
    return { ...state, fork: file };
  }

  async #remember(state: LogState): Promise<void> {
    if (this.#logs.includes(state)) return;
    this.#logs = this.#logs.map((one) => (one.vkey === state.vkey ? state : one));
    await this.#file.write(this.#logs);
  }
}

function isVkey(text: string): boolean {
  try {
    readVkey(text);
    return true;
  } catch (thrown) {
    if (thrown instanceof Defect) return false;
    throw thrown;
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
