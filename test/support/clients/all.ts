import { aiSdkClient } from './ai-sdk.ts';
import type { Client } from './client.ts';
import { langChainClient } from './langchain.ts';
import { nodeClient } from './node.ts';
import { pythonClient } from './python.ts';

/** Every client that the suites of behaviour and of errors drive; `held` ends them. */
export function allClients(held: AsyncDisposableStack): readonly Client[] {
  return [nodeClient(), pythonClient(), aiSdkClient(), langChainClient()].map((client) => held.use(client));
}
