/** How long a provider's wish to be left alone keeps other requests away where there is another endpoint. */
const MAX_REST_MS = 60_000;
/** What 429 without a hint is taken for. */
const REST_MS = 1_000;
const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 2_000;
/** Waits that a provider asked for are spread over a tenth more, so that those it refused together do not return so. */
const SPREAD = 0.1;

/** RFC 9110 section 10.2.3: seconds, or a date. */
const SECONDS = /^\d{1,9}$/;
const DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** The headers in which a provider says whether and when to ask again, and what each may hold. */
const RETRY_HEADERS: Readonly<Record<string, (value: string) => boolean>> = {
  'retry-after': (value) => SECONDS.test(value) || DATE.test(value),
  'retry-after-ms': (value) => /^\d{1,12}(\.\d{1,9})?$/.test(value),
  'x-should-retry': (value) => value === 'true' || value === 'false',
};

/** A provider's headers about asking again, without any that holds something else. */
export function retryHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const said = Object.entries(RETRY_HEADERS).map(([name, holds]) => [name, headers[name], holds] as const);
  return Object.fromEntries(
    said.flatMap(([name, value, holds]) => (value !== undefined && holds(value) ? [[name, value]] : [])),
  );
}

/**
 * When a provider wants to be asked again, in milliseconds from `now` (ms since 1970); null when it does not say.
 * `retry-after-ms` outranks `retry-after`.
 */
export function retryHint(headers: Readonly<Record<string, string>>, now: number): number | null {
  const { 'retry-after-ms': ms, 'retry-after': after } = retryHeaders(headers);
  if (ms !== undefined) return Math.ceil(Number(ms));
  if (after === undefined) return null;
  if (SECONDS.test(after)) return Number(after) * 1000;
  // oxlint-disable-next-line eslint/no-restricted-globals -- reads a date and no clock
  const date = Date.parse(after);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/**
 * Milliseconds before an endpoint is asked again: never less than it asked for, else anything up to a bound that
 * doubles with each attempt. `random` is at least 0 and below 1.
 */
export function waitBefore(attempts: number, hint: number | null, random: number): number {
  if (hint !== null) return hint * (1 + SPREAD * random);
  return Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempts - 1)) * random;
}

/** Milliseconds for which an endpoint comes last after an answer with this status. */
export function restAfter(status: number | null, hint: number | null): number {
  if (status !== 429 && status !== 503) return 0;
  return Math.min(MAX_REST_MS, hint ?? (status === 429 ? REST_MS : 0));
}
