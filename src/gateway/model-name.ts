import { Fault } from '../core/fault.ts';

const MAX_LENGTH = 256;

/** A request's `model`. @throws Fault `gateway.invalid_request`. */
export function modelName(model: unknown): string {
  if (typeof model === 'string' && model !== '' && model.length <= MAX_LENGTH) return model;
  throw new Fault('invalid', 'gateway.invalid_request', 'model: expected the name of a model', {
    details: { param: 'model' },
  });
}
