import { Fault } from '../../core/fault.ts';
import { isRecord } from '../json-body.ts';

/** Tools that the caller runs; any other kind would be run by the provider, past this road. */
const CALLER_TOOLS: ReadonlySet<string> = new Set(['function', 'custom']);

/**
 * Refuses by name what a provider is not known to take, and tools that it would run itself. `store` may only say that
 * nothing is kept.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function requireKnown(body: Readonly<Record<string, unknown>>, known: ReadonlySet<string>): void {
  for (const name of Object.keys(body)) {
    if (!known.has(name) && !isStoreFalse(name, body[name])) throw unsupported(name);
  }
  checkTools(body['tools']);
}

function isStoreFalse(name: string, value: unknown): boolean {
  return name === 'store' && (value === false || value === null);
}

function checkTools(tools: unknown): void {
  if (tools === undefined || tools === null) return;
  if (!Array.isArray(tools)) throw unsupported('tools');
  for (const [i, tool] of tools.entries()) {
    const type: unknown = isRecord(tool) ? tool['type'] : null;
    if (typeof type !== 'string' || !CALLER_TOOLS.has(type)) throw unsupported(`tools[${i}].type`);
  }
}

function unsupported(param: string): Fault {
  const message = `the parameter ${param} is not supported here`;
  return new Fault('invalid', 'gateway.unsupported_parameter', message, { details: { param } });
}
