import { canonicalJson, type Json } from '../core/canonical-json.ts';
import type { Bundle } from './types.ts';

export interface PartChange {
  /** As the bundle's digests name it. */
  readonly part: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** What was added, removed or changed inside, where the part is made of named things; `+id`, `-id`, `~id`. */
  readonly inside: readonly string[];
}

/** What differs between two bundles, part by part, by their digests. */
export function diffBundles(before: Bundle, after: Bundle): PartChange[] {
  const names = [...new Set([...Object.keys(before.digests), ...Object.keys(after.digests)])].sort();
  return names.flatMap((part): PartChange[] => {
    const [old, now] = [before.digests[part], after.digests[part]];
    if (old === now) return [];
    const change = old === undefined ? 'added' : now === undefined ? 'removed' : 'changed';
    return [
      { part, change, inside: change === 'changed' ? inside(partOf(before, part), partOf(after, part)) : [] },
    ];
  });
}

function partOf(bundle: Bundle, part: string): unknown {
  const [kind, id = ''] = part.split('/');
  if (kind === 'providers') return bundle.providers.find((provider) => provider.id === id);
  if (kind === 'packs') return bundle.packs[id]?.policies;
  if (kind === 'policies') return bundle.policies[id];
  return Object.getOwnPropertyDescriptor(bundle, part)?.value;
}

function inside(before: unknown, after: unknown): string[] {
  const [old, now] = [membersOf(before), membersOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((id) => {
    if (!old.has(id)) return [`+${id}`];
    if (!now.has(id)) return [`-${id}`];
    return old.get(id) === now.get(id) ? [] : [`~${id}`];
  });
}

/** The named things of a part, each as text that can be compared; lists are named by their elements' id or name. */
function membersOf(part: unknown): Map<string, string> {
  if (Array.isArray(part)) return new Map(part.map((each: unknown) => [nameOf(each), textOf(each)]));
  if (typeof part !== 'object' || part === null) return new Map();
  return new Map(Object.entries(part).map(([name, value]) => [name, textOf(value)]));
}

function nameOf(element: unknown): string {
  if (typeof element === 'string') return element;
  if (typeof element !== 'object' || element === null) return textOf(element);
  if ('id' in element && typeof element.id === 'string') return element.id;
  return 'name' in element && typeof element.name === 'string' ? element.name : textOf(element);
}

function textOf(value: unknown): string {
  // Parts of a bundle came from JSON.
  return canonicalJson(value as Json);
}
