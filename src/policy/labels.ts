import { Fault } from '../core/fault.ts';
import { CATEGORIES, type Category, type Label, type LabelAnswer } from './types.ts';

/** What holds when neither the model's name nor the site says anything: the highest (missing label = highest). */
export const HIGHEST_FLOOR: Label = Object.freeze({ conf: 3, categories: Object.freeze([]) });

const MAX_LABEL_CHARS = 256;
const CONFIDENTIALITY = new Map<string, Label['conf']>([
  ['c1', 1],
  ['c2', 2],
  ['c3', 3],
]);

/**
 * A label as the header and the drafts write it: `c2` or `c2,personal`, blanks around commas allowed.
 * @throws Fault kind `invalid` code `policy.label` for anything else.
 */
export function parseLabel(text: string): Label {
  // text is attacker-controlled
  if (text.length > MAX_LABEL_CHARS) throw malformed(`at most ${MAX_LABEL_CHARS} characters`);
  const [first = '', ...rest] = text.split(',').map((part) => part.replace(/^[ \t]+|[ \t]+$/g, ''));
  const conf = CONFIDENTIALITY.get(first);
  if (conf === undefined) throw malformed('c1, c2 or c3 first');
  const categories = new Set<Category>();
  for (const part of rest) {
    const category = CATEGORIES.find((known) => known === part);
    if (category === undefined) throw malformed(`categories out of ${CATEGORIES.join(', ')}`);
    if (categories.has(category)) throw malformed('each category once');
    categories.add(category);
  }
  return label(conf, categories);
}

/** The form of the response header, which `parseLabel` reads back. */
export function labelToHeader(label: Label): string {
  return [`c${label.conf}`, ...label.categories].join(',');
}

/** The label of data that carries both: the higher confidentiality, all categories. */
export function uniteLabels(a: Label, b: Label): Label {
  return label(a.conf > b.conf ? a.conf : b.conf, new Set([...a.categories, ...b.categories]));
}

/** The floor raised by what the header asks; asking for a lower confidentiality is an answer of its own. */
export function raiseLabel(floor: Label, header: string | null): LabelAnswer {
  if (header === null) return { kind: 'label', label: floor };
  const asked = parseLabel(header);
  if (asked.conf < floor.conf) return { kind: 'downgrade', label: floor, asked };
  return { kind: 'label', label: uniteLabels(floor, asked) };
}

function label(conf: Label['conf'], categories: ReadonlySet<Category>): Label {
  return Object.freeze({ conf, categories: Object.freeze([...categories].sort()) });
}

// The text itself is not echoed: it comes from outside and may hold anything.
function malformed(expected: string): Fault {
  return new Fault('invalid', 'policy.label', `malformed label, expected ${expected}, like c2,personal`);
}
