import { aiSdkClient } from './ai-sdk.ts';
import type { Client } from './client.ts';
import { langChainClient } from './langchain.ts';
import { nodeClient } from './node.ts';
import { pythonClients } from './python.ts';

/** Every client that the suites of behaviour and of errors drive; `held` ends them. */
export function allClients(held: AsyncDisposableStack): readonly Client[] {
  const openai = [nodeClient('openai'), nodeClient('azure'), ...pythonClients()];
  const frameworks = [aiSdkClient(), langChainClient('openai'), langChainClient('azure')];
  return [...openai, ...frameworks].map((client) => held.use(client));
}
