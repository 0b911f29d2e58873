import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isLoopback, parseIp } from '../core/address.ts';
import { SECOND } from '../core/duration.ts';
import { Secret } from '../core/secret.ts';
import { verifyReceipt } from '../ledger/verify/index.ts';
import type { Site } from '../server/site.ts';
import { SiteApi } from '../server/site-api.ts';
import { ask, type Answer } from './ask.ts';
import { say, type Io } from './io.ts';
import { printableText } from './printable.ts';

const QUESTION = 'What is the capital of Japan? Answer in one short sentence.';
const MODEL = 'chat';
const DONE = 'first-run';

/**
 * On the first run of a site with a local model: waits for the model, asks it one question through the whole road,
 * and shows answer, receipt and offline verification on standard error.
 */
export async function firstRun(site: Site, url: string, io: Io): Promise<void> {
  const marker = path.join(site.dataDir, DONE);
  const local = site.models.of(MODEL, site.policy);
  const { adminKeyPath } = site.identity;
  const own = loopbackUrl(url);
  if (local === null || adminKeyPath === null || own === null) return;
  if (await exists(marker)) return;
  if (!(await modelArrives(site, local, io))) return;
  await using api = new SiteApi(own, new Secret((await readFile(adminKeyPath, 'utf8')).trim()));
  io.err(
    `\n${say(io, { ja: '質問', en: 'question' })}  ${QUESTION}\n${say(io, { ja: '答え', en: 'answer' })}    `,
  );
  const answer = await ask(
    api,
    { text: QUESTION, model: MODEL, label: null },
    { show: (piece) => io.err(printableText(piece)), signal: io.signal },
  );
  const reply = await api.send({ method: 'GET', path: `/v1/receipts/${answer.receipt}?wait=10` });
  const receipt = await reply.bytes();
  io.err(`\n${say(io, { ja: '受領証', en: 'receipt' })}   ${answer.receipt}\n`);
  const { text, holds } = await verification(receipt, answer, { vkey: site.ledger.vkey, io });
  io.err(text);
  if (holds && answer.complete) await writeFile(marker, `${answer.receipt}\n`);
}

/** How a site reaches itself under a Host that it always takes; null where it does not listen so, or speaks TLS. */
export function loopbackUrl(url: string): string | null {
  const own = new URL(url);
  if (own.protocol !== 'http:') return null;
  if (own.hostname === '0.0.0.0') own.hostname = '127.0.0.1';
  if (own.hostname === '[::]') own.hostname = '[::1]';
  const address = parseIp(own.hostname.replace(/^\[(.*)\]$/, '$1'));
  const local = address === null ? own.hostname === 'localhost' : isLoopback(address);
  return local ? own.origin : null;
}

async function modelArrives(site: Site, local: string, io: Io): Promise<boolean> {
  let shown = '';
  for (;;) {
    const state = site.models.state(local);
    if (state.kind === 'ready') break;
    const line = site.models.progress(local);
    if (line !== shown) io.err(`\r\u001b[K${line}`);
    shown = line;
    if (state.kind === 'failed' || io.signal.aborted) {
      io.err('\n');
      return false;
    }
    await site.world.clock.sleep(SECOND / 5, io.signal).catch(() => {});
  }
  io.err('\r\u001b[K');
  return true;
}

// The same check that anybody makes offline: it sees the receipt, the log's public key and the two bodies.
export async function verification(
  receipt: Buffer,
  answer: Pick<Answer, 'request' | 'response'>,
  { vkey, io }: { vkey: string; io: Pick<Io, 'env'> },
): Promise<{ readonly text: string; readonly holds: boolean }> {
  const bodies = { request: answer.request, response: answer.response };
  const verdict = await verifyReceipt(receipt, { vkeys: [vkey] }, bodies);
  if (verdict.exit !== 0) {
    const label = say(io, { ja: '検証に失敗', en: 'verification failed' });
    return { text: `${label}: ${verdict.verdict}: ${verdict.reasons.join('; ')}\n`, holds: false };
  }
  const text = {
    ja: `要求と応答の両方の本文が受領証と一致 level=${verdict.level} state=${verdict.state}`,
    en: `offline, with both bodies: level=${verdict.level} state=${verdict.state}`,
  };
  return { text: `${say(io, { ja: '検証済み', en: 'verified' })}  ${say(io, text)}\n`, holds: true };
}

async function exists(file: string): Promise<boolean> {
  try {
    await readFile(file);
    return true;
  } catch {
    return false;
  }
}
