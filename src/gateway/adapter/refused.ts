import { Fault } from '../../core/fault.ts';
import type { BodyRules } from '../../policy/types.ts';

/**
 * The refusal of a member that a provider is not to be sent. `rule` names what of the provider's signed record would
 * allow it; null when nothing would.
 */
export function refused(param: string, rule: keyof BodyRules | null = null): Fault {
  const message =
    rule === null
      ? `the parameter ${param} is not supported here`
      : `the parameter ${param} is refused: body.${rule} of the provider's signed record does not allow it`;
  const details = rule === null ? { param } : { param, rule: `body.${rule}` };
  return new Fault('invalid', 'gateway.unsupported_parameter', message, { details });
}
