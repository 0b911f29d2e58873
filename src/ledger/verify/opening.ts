import type { Findings } from './findings.ts';
import type { ShownReceipt } from './receipt.ts';
import type { RoadAttempt } from './road.ts';
import { hmacSha256, sameBytes } from './sha256.ts';

/** Bodies to compare with the commitments: the request as received, the response as handed to the client. */
export interface Bodies {
  readonly request?: Uint8Array;
  readonly response?: Uint8Array;
}

/** Whether the bodies are the ones recorded (docs/verify.md "Opening"). */
export function checkBodies(
  bodies: Bodies,
  open: ShownReceipt['open'],
  attempts: readonly RoadAttempt[],
  findings: Findings,
): void {
  if (bodies.request !== undefined) checkRequest(bodies.request, open, attempts, findings);
  if (bodies.response !== undefined) checkResponse(bodies.response, open, attempts, findings);
}

function checkRequest(
  body: Uint8Array,
  open: ShownReceipt['open'],
  attempts: readonly RoadAttempt[],
  findings: Findings,
): void {
  if (open.in === undefined) return;
  if (open.in === null) {
    findings.incomparable.push('request: the receipt holds no key that opens its commitment');
    return;
  }
  // That all decisions commit to one request is a rule of the road, so the first that can be read stands for all.
  const committed = attempts.flatMap(({ decision }) => decision?.in ?? [])[0];
  if (committed !== undefined && !sameBytes(hmacSha256(open.in, body), committed))
    findings.invalid.push('request: not the body that was decided on');
}

function checkResponse(
  body: Uint8Array,
  open: ShownReceipt['open'],
  attempts: readonly RoadAttempt[],
  findings: Findings,
): void {
  const outcomes = attempts.flatMap(({ outcome }) => outcome ?? []);
  const recorded = outcomes.flatMap(({ res }) => res ?? [])[0];
  if (open.res === undefined || outcomes.some(({ res }) => res === undefined)) return;
  if (recorded === undefined) findings.incomparable.push('response: none was recorded');
  else if (outcomes.some(({ status }) => status === 'client-gone'))
    findings.incomparable.push('response: the client had gone before its end');
  else if (open.res === null)
    findings.incomparable.push('response: the receipt holds no key that opens its commitment');
  else if (!sameBytes(hmacSha256(open.res, body), recorded))
    findings.invalid.push('response: not the body that was answered');
}
