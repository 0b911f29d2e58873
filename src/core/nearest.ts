const LONGEST = 64;

/** The candidate nearest to `word` within so many single edits, or null when none is near enough to be what was meant. */
export function nearest(
  word: string,
  candidates: readonly string[],
  edits: number = Math.max(2, Math.floor(Math.min(word.length, LONGEST) / 3)),
): string | null {
  const typed = word.slice(0, LONGEST).toLowerCase();
  let best: string | null = null;
  let least = edits + 1;
  for (const candidate of candidates) {
    const distance = editDistance(typed, candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

// Levenshtein, one row at a time.
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
