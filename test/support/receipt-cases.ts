import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ROOT } from './source.ts';

export const RECEIPTS = path.join(ROOT, 'fixtures', 'receipts');

const file = z.string().nullable();
const schema = z.object({
  cases: z.array(
    z.object({
      case: z.string(),
      file: z.string(),
      key: file,
      policy: file,
      request: file,
      response: file,
      exit: z.union([z.literal(0), z.literal(1), z.literal(2)]),
      level: z.string().nullable(),
      state: z.string().nullable(),
      targets: z.string(),
      reasons: z.number(),
    }),
  ),
});

/** What `verify` must answer to one receipt; files are named relative to `RECEIPTS`. */
export type ReceiptCase = z.infer<typeof schema>['cases'][number];

export function receiptCases(): readonly ReceiptCase[] {
  return schema.parse(JSON.parse(readFileSync(path.join(RECEIPTS, 'expect.json'), 'utf8'))).cases;
}
