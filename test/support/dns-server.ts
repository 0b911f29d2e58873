import { NameServer } from '../../src/leaktest/world/dns.ts';

/** A name server on loopback that answers as scripted and remembers every question. */
export interface DnsServer extends AsyncDisposable {
  /** `address:port`. */
  readonly server: string;
  /** `<type> <name>` in the order asked. */
  readonly questions: string[];
}

export async function dnsServer(script: NameServer['script']): Promise<DnsServer> {
  const names = new NameServer('127.0.0.1');
  names.script = script;
  const port = await names.listen(0);
  return {
    server: `127.0.0.1:${port}`,
    questions: names.questions,
    [Symbol.asyncDispose]: async () => names[Symbol.asyncDispose](),
  };
}
