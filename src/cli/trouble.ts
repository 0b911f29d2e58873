import { z } from 'zod';
import type { Fault } from '../core/fault.ts';
import { say, type Io } from './io.ts';
import { printable } from './printable.ts';

/** What a command's fault looks like on standard error. What a site answered comes from outside. */
export function troubleText(fault: Fault, io: Pick<Io, 'env'>, { json }: { json: boolean }): string {
  const { code, message, details } = fault;
  const answered = code === 'server.refused' ? details : {};
  if (json) return `${printable(JSON.stringify({ code, message, ...answered }))}\n`;
  const lines = [`sekisho: ${message}`, ...reasonLines(details['body'], io), ...receiptLine(details, io)];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

/** As many as endpoints may stand behind one name. */
const MAX_REASONS = 32;

const denial = z.object({
  error: z.object({
    innererror: z.object({
      reasons: z.array(
        z.object({ endpoint: z.string(), policy: z.string(), ja: z.string(), en: z.string() }),
      ),
    }),
  }),
});

function reasonLines(body: unknown, io: Pick<Io, 'env'>): readonly string[] {
  const read = denial.safeParse(body);
  if (!read.success) return [];
  const { reasons } = read.data.error.innererror;
  return reasons
    .slice(0, MAX_REASONS)
    .map((reason) => `  ${reason.endpoint}: ${say(io, reason)} (${reason.policy})`);
}

function receiptLine({ receipt }: Fault['details'], io: Pick<Io, 'env'>): readonly string[] {
  return typeof receipt === 'string' ? [`${say(io, { ja: '受領証', en: 'receipt' })} ${receipt}`] : [];
}
