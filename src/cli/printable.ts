// What comes from strangers may hold control, format and surrogate characters and line separators, which would let it
// write over what the terminal shows.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

// Lines may break in a text, and several scripts and emoji cannot be written without joiners.
const KEPT_IN_TEXT = new Set(['\n', '\t', '\u200c', '\u200d']);

/** A line that a terminal only shows. The escapes are those of JSON, so that a JSON text stays the same value. */
export function printable(line: string): string {
  return line.replace(UNPRINTABLE, escaped);
}

/** The same for text of several lines. */
export function printableText(text: string): string {
  return text.replace(UNPRINTABLE, (found) => (KEPT_IN_TEXT.has(found) ? found : escaped(found)));
}

function escaped(text: string): string {
  return text
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
