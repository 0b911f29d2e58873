import { Fault } from '../core/fault.ts';
import type { Guard } from './types.ts';

/** A guard of docs/egress.md refused; nothing, or nothing more, left. */
export function refusal(guard: Guard, message: string, cause?: unknown): Fault {
  return new Fault('denied', 'egress.denied', message, { details: { guard }, cause });
}

/** No byte of the request left. */
export function unreachable(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'egress.unreachable', message, { cause });
}

/** Bytes of the request left and the answer did not come to its end. */
export function interrupted(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'egress.interrupted', message, { cause });
}

/** As `interrupted`, because nothing came for too long: the far side may be at work on it still. */
export function silent(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'egress.interrupted', message, { cause, details: { silent: true } });
}

/** The far side answered something that cannot be passed on. */
export function garbage(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'egress.garbage', message, { cause });
}

/** A provider record whose network facts cannot be read. */
export function invalidNetwork(message: string, cause?: unknown): Fault {
  return new Fault('invalid', 'egress.invalid_network', message, { cause });
}
