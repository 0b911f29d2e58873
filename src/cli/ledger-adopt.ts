import { parseArgs } from 'node:util';
import { adoptMachine } from '../server/adopt-machine.ts';
import { OK, say, USAGE, type Io } from './io.ts';
import { LEDGER_HELP } from './ledger.ts';

/** `sekisho ledger adopt-machine` on a stopped site. */
export async function adoptMachineCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 0) {
    io.err(say(io, LEDGER_HELP));
    return USAGE;
  }
  const { config, data, json } = values;
  const adopted = await adoptMachine(io.env, { config, data });
  io.out(json ? `${JSON.stringify(adopted)}\n` : `${adopted.origin} adopted here, leaf ${adopted.index}\n`);
  return OK;
}
