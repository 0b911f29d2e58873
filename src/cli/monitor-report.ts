import type { LogReport } from '../ledger/monitor/monitor.ts';
import type { Bounds } from '../ledger/monitor/round.ts';
import { printable } from './printable.ts';

/**
 * What a round says of one log: a line, and one more for each alarm; or one JSON object. The site's words are shown and
 * not obeyed.
 */
export function monitorLines(report: LogReport, bounds: Bounds, json: boolean): string {
  const { origin, head, alarms, unreached, read } = report;
  const verdict = alarms.length > 0 ? 'alarm' : unreached === null ? 'ok' : 'unreached';
  const root = head === null ? null : Buffer.from(head.root, 'latin1').toString('base64');
  const size = head?.size ?? null;
  if (json)
    return `${printable(JSON.stringify({ log: origin, verdict, size, root, read, ...judged(bounds), unreached, alarms }))}\n`;
  const { outcomes, silence } = judged(bounds);
  const reading =
    read === null || read === size ? outcomes : `${outcomes}, ${read} of ${size} entries so far`;
  const lines = [
    `${verdict} ${origin} size=${size ?? '-'} root=${root ?? '-'} outcomes: ${reading}; silence: ${silence}`,
    ...(unreached === null ? [] : [`  ${unreached}`]),
    ...alarms.map(({ kind, message }) => `alarm ${kind} ${origin}: ${message}`),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

function judged({ outcomeMs, silenceMs }: Bounds): { readonly outcomes: string; readonly silence: string } {
  return {
    outcomes: outcomeMs === null ? 'not checked' : 'checked',
    silence: silenceMs === null ? 'not checked' : 'checked',
  };
}
