import type { Socket } from 'node:net';
import type { Target } from './network.ts';
import { refusal, unreachable } from './refusal.ts';

const MAX_HEAD_BYTES = 8_192;
const HEAD_END = '\r\n\r\n';

/**
 * Asks the declared proxy for a tunnel to the target (RFC 9110 section 9.3.6). Nothing of the request is in it.
 * @throws Fault `egress.denied` by guard proxy when the proxy says no, `egress.unreachable` when it says nothing.
 */
export function openTunnel(socket: Socket, target: Target, signal: AbortSignal): Promise<void> {
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  const authority = `${host}:${target.port}`;
  return new Promise((resolve, reject) => {
    let head = '';
    const end = (fault: Error | null): void => {
      socket.off('data', onData).off('close', onClose);
      signal.removeEventListener('abort', onClose);
      socket.pause();
      if (fault === null) resolve();
      else reject(fault);
    };
    const onClose = (): void => end(unreachable(`${target.name}: the proxy gave no tunnel`));
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (head.includes(HEAD_END)) end(judge(head, target));
      else if (head.length > MAX_HEAD_BYTES)
        end(refusal('proxy', `${target.name}: the proxy's answer is too long`));
    };
    socket.on('data', onData).on('close', onClose);
    signal.addEventListener('abort', onClose, { once: true });
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n`);
  });
}

// Bytes after the head would be a far side that speaks before TLS does: no honest one exists.
function judge(head: string, target: Target): Error | null {
  const open = /^HTTP\/1\.[01] 2\d\d[ \r]/.test(head) && head.endsWith(HEAD_END);
  return open ? null : refusal('proxy', `${target.name}: the proxy refused (${head.slice(0, 12)})`);
}
