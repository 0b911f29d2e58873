// Cedar's parser, validator and evaluator recurse, and their stack is a fixed part of the WebAssembly memory: text
// nested some 100 levels deep overruns it, after which every later call of the process fails too. Nesting is
// therefore bounded before Cedar sees a text.

/** Cedar 4.13 bears heights of 240 in each single form; the bound leaves half of that for forms that mix. */
export const MAX_NESTING = 120;

const BRACKET_HEIGHT = 3;
const TOKENS = /\/\/[^\n]*|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+|&&|\|\||[=!<>]=|[^\s\w]/gs;
const OPENING = new Set(['(', '[', '{']);
const CLOSING = new Set([')', ']', '}']);
/** `a.b.c`, `a[b][c]` and `1 + 2 + 3` nest to the left, one level an operator. */
const NESTING = new Set(['.', '+', '-', '*', '[', '!']);
/** What ends such a chain: its two sides lie beside each other. */
const SEPARATING = new Set(['&&', '||', '==', '!=', '<', '<=', '>', '>=', ',', ';', ':']);

interface Level {
  /** Highest expression so far between two separators. */
  highest: number;
  operators: number;
  inner: number;
  /** Conditionals nest to the right and across separators, so they are counted over the whole level. */
  conditionals: number;
}

/** An upper bound of the height of the expressions in a Cedar text, in linear time and constant stack. */
export function nestingOf(text: string): number {
  const levels: Level[] = [];
  let here = newLevel();
  for (const [token] of text.matchAll(TOKENS)) {
    if (NESTING.has(token)) here.operators += 1;
    if (token === 'if') here.conditionals += 1;
    if (SEPARATING.has(token)) endChain(here);
    if (OPENING.has(token)) {
      levels.push(here);
      here = newLevel();
    } else if (CLOSING.has(token)) {
      const height = BRACKET_HEIGHT + heightOf(here);
      here = levels.pop() ?? newLevel();
      here.inner = Math.max(here.inner, height);
    }
  }
  // Brackets left open still recurse before the parser finds them open.
  return levels.reduceRight((height, level) => height + BRACKET_HEIGHT + heightOf(level), heightOf(here));
}

function newLevel(): Level {
  return { highest: 0, operators: 0, inner: 0, conditionals: 0 };
}

function endChain(level: Level): void {
  level.highest = Math.max(level.highest, level.operators + level.inner);
  level.operators = 0;
  level.inner = 0;
}

function heightOf(level: Level): number {
  return Math.max(level.highest, level.operators + level.inner) + level.conditionals;
}
