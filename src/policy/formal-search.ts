/** What a table says of one policy; it depends on `variables` alone, whose values are given by their numbers. */
export interface Table {
  readonly name: string;
  readonly variables: readonly number[];
  /** Indexed by `cellOf`; 1 where the search may pass. */
  readonly passes: Uint8Array;
}

export type SearchResult =
  | { readonly found: 'nothing' }
  | { readonly found: 'values'; readonly values: readonly number[] }
  | { readonly found: 'too-much' };

const MAX_STEPS = 20_000_000;

/** The place of a choice of values in a table of these variables. */
export function cellOf(
  variables: readonly number[],
  sizes: readonly number[],
  values: readonly number[],
): number {
  let cell = 0;
  for (const variable of variables) cell = cell * (sizes[variable] ?? 1) + (values[variable] ?? 0);
  return cell;
}

/**
 * Looks through every choice of values, one of `sizes[i]` for each variable, for one that all tables let pass. A
 * choice is given up as soon as one table stops it, whatever the variables still open: nothing is passed over.
 */
export function search(sizes: readonly number[], tables: readonly Table[]): SearchResult {
  const order = orderOf(tables);
  const due = order.map((_, depth) =>
    tables.filter(
      ({ variables }) =>
        variables.length > 0 && Math.max(...variables.map((variable) => order.indexOf(variable))) === depth,
    ),
  );
  const constant = tables.filter(({ variables }) => variables.length === 0);
  if (constant.some(({ passes }) => passes[0] !== 1)) return { found: 'nothing' };
  const values = sizes.map(() => 0);
  let steps = 0;
  const descend = (depth: number): SearchResult['found'] => {
    const variable = order[depth];
    if (variable === undefined) return 'values';
    for (let value = 0; value < (sizes[variable] ?? 1); value++) {
      if (++steps > MAX_STEPS) return 'too-much';
      values[variable] = value;
      const open = (due[depth] ?? []).every(
        ({ variables, passes }) => passes[cellOf(variables, sizes, values)] === 1,
      );
      const below = open ? descend(depth + 1) : 'nothing';
      if (below !== 'nothing') return below;
    }
    return 'nothing';
  };
  const found = descend(0);
  return found === 'values' ? { found, values: [...values] } : { found };
}

// The variables of the tables in the order given come first, then those that complete a table soonest.
function orderOf(tables: readonly Table[]): number[] {
  const order: number[] = [];
  const waiting = [...tables];
  while (waiting.length > 0) {
    const missing = (table: Table): number =>
      table.variables.filter((variable) => !order.includes(variable)).length;
    let next = 0;
    for (let index = 1; index < waiting.length; index++) {
      const [candidate, best] = [waiting[index], waiting[next]];
      if (candidate !== undefined && best !== undefined && missing(candidate) < missing(best)) next = index;
    }
    const [table] = waiting.splice(next, 1);
    for (const variable of table?.variables ?? []) if (!order.includes(variable)) order.push(variable);
  }
  return order;
}
