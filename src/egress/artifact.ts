import { dirname } from 'node:path';
import { rename, rm } from 'node:fs/promises';
import { syncFolder } from '../core/durable.ts';
import { Fault, toFault } from '../core/fault.ts';
import { PUBLIC, parsePrefixes } from './address.ts';
import { dial } from './connect.ts';
import type { Dialer } from './connect.ts';
import { Exchange } from './exchange.ts';
import { Lane } from './lane.ts';
import { artifactTarget } from './network.ts';
import type { ArtifactPlace } from './network.ts';
import { openPart } from './part.ts';
import type { Part } from './part.ts';
import { garbage, interrupted, refusal, unreachable } from './refusal.ts';
import type { ArtifactRequest, ArtifactResult, Observed } from './types.ts';

const MAX_REDIRECTS = 5;
/** Broken-off downloads are taken up again as long as each try brought something. */
const MAX_TRIES = 8;
const ACCEPT = ['user-agent', 'sekisho', 'accept-encoding', 'identity', 'accept', '*/*'];

/**
 * Fetches a file by GET, follows redirects within the listed hosts, and puts it in place when its digest is right.
 * @throws Fault `egress.denied` (guards posture, scheme, host, literal, address, certificate, redirect, size, digest),
 * `egress.unreachable`, `egress.interrupted` (what arrived is kept for the next try), `egress.garbage`.
 */
export async function fetchArtifact(request: ArtifactRequest, dialer: Dialer): Promise<ArtifactResult> {
  if (dialer.disconnected() && dialer.guards.on('posture'))
    throw refusal('posture', 'a disconnected site fetches nothing');
  await using part = await openPart(`${request.path}.part`);
  const source = await receive(request, part, dialer);
  const digest = await part.finish();
  if (digest !== request.sha256 && dialer.guards.on('digest')) {
    await rm(part.path);
    throw refusal('digest', `expected sha256 ${request.sha256}, found ${digest}`);
  }
  await rename(part.path, request.path);
  await syncFolder(dirname(request.path));
  return { bytes: part.size(), ...source };
}

type Source = Pick<ArtifactResult, 'url' | 'observed'>;

async function receive(request: ArtifactRequest, part: Part, dialer: Dialer): Promise<Source> {
  for (let tries = 1; ; tries++) {
    const before = part.size();
    try {
      return await follow(request, part, dialer);
    } catch (thrown) {
      const broken =
        thrown instanceof Fault && thrown.code === 'egress.interrupted' && !request.signal.aborted;
      if (!broken || part.size() === before || tries >= MAX_TRIES) throw thrown;
    }
  }
}

async function follow(request: ArtifactRequest, part: Part, dialer: Dialer): Promise<Source> {
  const place: ArtifactPlace = {
    hosts: request.hosts,
    addresses: request.addresses === null ? PUBLIC : parsePrefixes(request.addresses),
    proxy: request.proxy,
  };
  let { url } = request;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const hopped = await get(url, place, { request, part, dialer });
    if (hopped.location === null) return { url, observed: hopped.observed };
    url = new URL(hopped.location, url).href;
  }
  throw refusal('redirect', `more than ${MAX_REDIRECTS} redirects`);
}

interface Job {
  readonly request: ArtifactRequest;
  readonly part: Part;
  readonly dialer: Dialer;
}

interface Hop {
  readonly observed: Observed;
  /** Where the answer points, or null when the file is complete. */
  readonly location: string | null;
}

async function get(url: string, place: ArtifactPlace, job: Job): Promise<Hop> {
  const { request, dialer } = job;
  const target = artifactTarget(url, place, dialer.guards);
  const connection = await dial(target, dialer, request.signal);
  const lane = new Lane(target.origin, connection, () => {});
  try {
    const { pathname, search } = new URL(url);
    const location = await answer(lane, `${pathname}${search}`, job);
    return { observed: connection.observed, location };
  } finally {
    lane.destroy(interrupted('the download is over'));
  }
}

// Resolves with the redirect's location, or null at the end of the body.
function answer(lane: Lane, path: string, job: Job): Promise<string | null> {
  const { request, part } = job;
  return new Promise((resolve, reject) => {
    let total: number | null = null;
    const headers = part.size() > 0 ? [...ACCEPT, 'range', `bytes=${part.size()}-`] : ACCEPT;
    const ends = { release: () => {}, gone: () => {}, report: () => {}, again: () => {} };
    const stop = (fault: Fault): void => {
      request.signal.removeEventListener('abort', aborted);
      exchange.abort();
      reject(fault);
    };
    const aborted = (): void => stop(interrupted('the download was given up'));
    const exchange = new Exchange(ends, {
      request: { method: 'GET', path, headers: {}, body: null, timeoutMs: request.timeoutMs },
      headers,
      redirects: 'pass',
      handler: {
        onHead(status, head) {
          const verdict = readHead(status, head, job);
          if (verdict instanceof Fault) stop(verdict);
          else if (typeof verdict === 'string') {
            exchange.abort();
            resolve(verdict);
          } else total = verdict.total;
        },
        onData(chunk) {
          if (part.size() + chunk.length > request.maxBytes) stop(tooLong(request));
          else
            part.write(chunk).then(
              () => exchange.resume(),
              (thrown) => stop(toFault(thrown)),
            );
          request.onProgress(part.size(), total);
          return false;
        },
        onEnd() {
          request.signal.removeEventListener('abort', aborted);
          if (total !== null && part.size() !== total) reject(interrupted('the file ended early'));
          else resolve(null);
        },
        onError(fault) {
          stop(fault instanceof Fault ? fault : interrupted('the download broke', fault));
        },
      },
    });
    request.signal.addEventListener('abort', aborted, { once: true });
    exchange.ride(lane);
  });
}

// A location to follow, the size to expect, or why not.
function readHead(
  status: number,
  head: Readonly<Record<string, string>>,
  { request, part }: Job,
): Fault | string | { total: number | null } {
  const { location } = head;
  if (status >= 300 && status < 400)
    return location === undefined ? garbage(`the far side answered ${status} without a location`) : location;
  if (status === 200) part.restart();
  else if (status === 416) {
    part.restart();
    return interrupted('the far side has no such range; starting over');
  } else if (status !== 206) return unreachable(`the far side answered ${status}`);
  else if (!head['content-range']?.startsWith(`bytes ${part.size()}-`))
    return garbage('another range than asked for');
  const length = head['content-length'];
  const total = length === undefined ? null : part.size() + Number(length);
  return total !== null && total > request.maxBytes ? tooLong(request) : { total };
}

function tooLong(request: ArtifactRequest): Fault {
  return refusal('size', `expected at most ${request.maxBytes} bytes`);
}
