import type { BodyRules } from '../../policy/types.ts';
import { isRecord } from '../json-body.ts';
import { requireListedHosts, requireOwnReferences } from './references.ts';
import { refused } from './refused.ts';

/** Tools that the caller runs, with the members of their descriptions; any other kind is run by the provider. */
const CALLER_TOOLS: Readonly<Record<string, readonly string[]>> = {
  function: ['name', 'description', 'parameters', 'strict'],
  custom: ['name', 'description', 'format'],
};

/**
 * Refuses tools that the provider would run itself, in whatever member they are named, unless its record lists their
 * kind, and descriptions of tools that lead elsewhere.
 * @throws Fault `gateway.unsupported_parameter` naming the member.
 */
export function requireCallerTools(body: Readonly<Record<string, unknown>>, rules: BodyRules): void {
  checkTools(body['tools'], rules);
  checkChoice(body['tool_choice'], rules);
  requireOwnReferences(body['functions'], 'functions', rules);
}

/** True for a tool that the caller runs, and for one of a kind that the record lists. */
export function mayRun(type: unknown, rules: BodyRules): boolean {
  return typeof type === 'string' && (Object.hasOwn(CALLER_TOOLS, type) || rules.tools.includes(type));
}

function checkTools(tools: unknown, rules: BodyRules): void {
  if (tools === undefined || tools === null) return;
  if (!Array.isArray(tools)) throw refused('tools');
  for (const [i, tool] of tools.entries()) {
    const path = `tools[${i}]`;
    const type: unknown = isRecord(tool) ? tool['type'] : null;
    if (!isRecord(tool) || typeof type !== 'string' || !mayRun(type, rules)) {
      throw refused(`${path}.type`, 'tools');
    }
    const members = Object.hasOwn(CALLER_TOOLS, type) ? CALLER_TOOLS[type] : undefined;
    if (members === undefined) requireListedHosts(tool, path, rules);
    else checkDescription(tool, { type, members, path }, rules);
  }
}

function checkDescription(
  tool: Record<string, unknown>,
  { type, members, path }: { type: string; members: readonly string[]; path: string },
  rules: BodyRules,
): void {
  requireMembers(tool, ['type', type], path);
  const described = tool[type];
  if (isRecord(described)) requireMembers(described, members, `${path}.${type}`);
  requireOwnReferences(described, `${path}.${type}`, rules);
}

function checkChoice(choice: unknown, rules: BodyRules): void {
  if (!isRecord(choice)) return;
  const { type, allowed_tools: allowed } = choice;
  if (type !== 'allowed_tools') {
    if (!mayRun(type, rules)) throw refused('tool_choice.type', 'tools');
    return;
  }
  const listed: unknown = isRecord(allowed) ? allowed['tools'] : null;
  for (const [i, tool] of (Array.isArray(listed) ? listed : []).entries()) {
    if (!isRecord(tool) || !mayRun(tool['type'], rules)) {
      throw refused(`tool_choice.allowed_tools.tools[${i}].type`, 'tools');
    }
  }
}

function requireMembers(value: Record<string, unknown>, members: readonly string[], path: string): void {
  const other = Object.keys(value).find((name) => !members.includes(name));
  if (other !== undefined) throw refused(`${path}.${other}`);
}
