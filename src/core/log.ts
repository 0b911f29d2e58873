import type { Clock } from './world.ts';

/** Values that may stand in a log line: low-cardinality facts, never prompt text or personal data. */
export type LogFacts = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  info(event: string, facts?: LogFacts): void;
  warn(event: string, facts?: LogFacts): void;
  error(event: string, facts?: LogFacts): void;
}

/** From the most to the least that is logged. */
export const LOG_LEVELS = ['info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What of `log` is at least as grave as `least`. */
export function atLevel(log: Log, least: LogLevel): Log {
  const from = LOG_LEVELS.indexOf(least);
  return {
    info: (event, facts) => (from > 0 ? undefined : log.info(event, facts)),
    warn: (event, facts) => (from > 1 ? undefined : log.warn(event, facts)),
    error: (event, facts) => (from > 2 ? undefined : log.error(event, facts)),
  };
}

/** One JSON object a line, to `write`. */
export function jsonLog(clock: Clock, write: (line: string) => void): Log {
  const line =
    (level: string) =>
    (event: string, facts: LogFacts = {}): void => {
      write(`${JSON.stringify({ t: clock.now(), level, event, ...facts })}\n`);
    };
  return { info: line('info'), warn: line('warn'), error: line('error') };
}

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };
