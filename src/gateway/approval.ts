import type { ApprovalRule } from '../policy/types.ts';
import type { SurfaceError } from './errors.ts';

/** A request for a purpose whose approval the bundle asks for. */
export interface ApprovalNeed {
  /** The receipt id. */
  readonly decision: string;
  readonly purpose: string;
  readonly rule: ApprovalRule;
  /** The key that asked; whoever approves must name it. */
  readonly caller: string;
}

/** Says who may approve, and the words that whoever was denied can pass on. */
export function approvalRequired({ decision, purpose, rule, caller }: ApprovalNeed): SurfaceError {
  const command = `sekisho approval new --purpose ${purpose} --key ${caller}`;
  return {
    status: 403,
    code: 'approval_required',
    message: `the purpose "${purpose}" needs an approval that holds now, by a key with the role ${rule.role}`,
    param: 'Sekisho-Purpose',
    innererror: {
      decision_id: decision,
      purpose,
      role: rule.role,
      hours: rule.hours,
      caller,
      ask: {
        ja: `役割 ${rule.role} の鍵を持つ人（あなたの鍵では承認できません）に、次の承認を依頼してください（最長 ${rule.hours} 時間）: ${command}`,
        en: `Ask somebody who holds a key with the role ${rule.role} (not your own key) for this approval (at most ${rule.hours} hours): ${command}`,
      },
    },
  };
}
