import path from 'node:path';
import { runGates } from './gates.ts';

const root = path.join(import.meta.dirname, '..');
const results = await runGates(root, (line) => console.log(line));
if (results.some((result) => !result.passed)) process.exitCode = 1;
