import { Fault } from '../../core/fault.ts';
import { KNOWN, ROGUE } from './certificates.ts';
import { NameServer } from './dns.ts';
import { Sink } from './sink.ts';

/** Everything that a gateway could reach during a run, all on loopback and on one port. */
export interface LeakWorld extends AsyncDisposable {
  readonly port: number;
  /** Two providers in the country. */
  readonly homeA: Sink;
  readonly homeB: Sink;
  readonly foreign: Sink;
  /** The foreign provider's IPv6 address; null where the machine has none. */
  readonly foreignSix: Sink | null;
  readonly proxy: Sink;
  readonly telemetry: Sink;
  readonly media: Sink;
  /** Claims the names of the domestic provider, with a certificate of its own. */
  readonly rogue: Sink;
  readonly dns: NameServer;
  /** What nothing may ever reach. */
  readonly forbidden: readonly Sink[];
  reset(): void;
}

const TRIES = 20;

/**
 * Listens on 127.0.0.2 to 127.0.0.9. A port of 0 takes one that is free on all of them.
 * @throws Fault `leaktest.world` when the addresses or the port cannot be had.
 */
export async function openWorld(port: number): Promise<LeakWorld> {
  let last: unknown;
  for (let i = 0; i < (port === 0 ? TRIES : 1); i++) {
    try {
      return await listenAll(port);
    } catch (thrown) {
      last = thrown;
    }
  }
  const message = `expected to listen on 127.0.0.2 to 127.0.0.9, port ${port === 0 ? 'of any number' : port}`;
  throw new Fault('unavailable', 'leaktest.world', message, { cause: last });
}

async function listenAll(wanted: number): Promise<LeakWorld> {
  await using opened = new AsyncDisposableStack();
  const sink = (name: string, last: number, certificate = KNOWN): Sink =>
    opened.use(new Sink(name, `127.0.0.${last}`, certificate));
  const homeA = sink('home-a', 2);
  const homeB = sink('home-b', 3);
  const foreign = sink('foreign', 4);
  const proxy = sink('proxy', 5);
  const telemetry = sink('telemetry', 6);
  const media = sink('media', 7);
  const rogue = sink('rogue', 8, ROGUE);
  const port = await homeA.listen(wanted);
  for (const one of [homeB, foreign, proxy, telemetry, media, rogue]) await one.listen(port);
  const dns = opened.use(new NameServer('127.0.0.9'));
  await dns.listen(port);
  const foreignSix = await listenSix(port, opened);
  const forbidden = [foreign, proxy, telemetry, media, ...(foreignSix === null ? [] : [foreignSix])];
  const held = opened.move();
  return {
    port,
    homeA,
    homeB,
    foreign,
    foreignSix,
    proxy,
    telemetry,
    media,
    rogue,
    dns,
    forbidden,
    reset() {
      for (const one of [homeA, homeB, rogue, ...forbidden]) one.reset();
      dns.reset();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

// A machine without IPv6 cannot leak by it.
async function listenSix(port: number, opened: AsyncDisposableStack): Promise<Sink | null> {
  const sink = new Sink('foreign by IPv6', '::1', KNOWN);
  try {
    await sink.listen(port);
    return opened.use(sink);
  } catch {
    return null;
  }
}
