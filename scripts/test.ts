import path from 'node:path';
import { parseArgs } from 'node:util';
import { runGates, seconds } from './gates.ts';
import { prepare } from './prepare.ts';
import { runSuite, testFiles } from './suite.ts';

const root = path.join(import.meta.dirname, '..');
const print = (line: string): void => console.log(line);
const { values, positionals } = parseArgs({
  // A fuzz that found something prints the seed with which it finds it again.
  options: { long: { type: 'boolean', default: false }, seed: { type: 'string' } },
  allowPositionals: true,
});
if (values.seed !== undefined) process.env['FUZZ_SEED'] = values.seed;
process.exitCode = await main();

async function main(): Promise<number> {
  const begun = performance.now();
  if (!(await prepare(root, print))) return 1;
  // Naming files is for work on one part; the gates judge the whole.
  const gates = positionals.length === 0 ? await runGates(root, print) : [];
  const files = await testFiles(root, { long: values.long, only: positionals });
  const tally = await runSuite(root, files, { long: values.long, print });
  const passed = tally.passed + gates.filter((gate) => gate.passed).length;
  const failed = tally.failed + gates.filter((gate) => !gate.passed).length;
  print(`${gates.length} gates and ${files.length} files in ${seconds(performance.now() - begun)}`);
  if (tally.passed === 0) print('no test ran');
  print(`${passed} passed, ${failed} failed`);
  return failed > 0 || tally.passed === 0 ? 1 : 0;
}
