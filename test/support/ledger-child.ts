// Records roads as fast as the disk allows until it is killed. Each line on standard output was true when it was
// written: `taken RID` both leaves were durable, `open RID` the decision was, `head NOTE` a client saw this checkpoint.
import { writeSync } from 'node:fs';

import { siteAt, decision, newRoad, outcome } from './ledger-site.ts';

const CALLERS = 16;

const ledger = await siteAt(process.argv[2] ?? '').open({ segmentBytes: 128 << 10 });
say('ready');
await Promise.all(Array.from({ length: CALLERS }, call));

async function call(): Promise<never> {
  for (;;) {
    const keys = newRoad(ledger);
    const of = await ledger.appendRoad(keys, decision(ledger, keys));
    say(`open ${keys.rid}`);
    await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
    say(`taken ${keys.rid}`);
    const receipt = of % 10 === 0 ? await ledger.receipt(keys.rid) : null;
    if (receipt !== null) say(`head ${JSON.stringify(receipt.checkpoint)}`);
  }
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}
