import { ANSWERS } from './cases/answers.ts';
import { BODIES } from './cases/bodies.ts';
import { NAMES } from './cases/names.ts';
import { POLICY } from './cases/policy.ts';
import { PROCESS } from './cases/process.ts';
import type { Case } from './case.ts';

/** Every case, in the order of its number. */
export const CASES: readonly Case[] = [...ANSWERS, ...BODIES, ...NAMES, ...POLICY, ...PROCESS].toSorted(
  (a, b) => a.number - b.number,
);
