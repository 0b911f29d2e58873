import { Fault } from '../core/fault.ts';
import type { ModelSource } from './local-models.ts';
export function modelSource(_: unknown): ModelSource {
  return async () => {
    throw new Fault('unavailable', 'x.y', 'not there');
  };
}
