import { connectSite, refusalOf, type SiteApi } from '../server/site-api.ts';
import type { Io } from './io.ts';

/** A text that the site serves. @throws Fault `server.refused`. */
export async function siteText(site: SiteApi, path: string): Promise<string> {
  const reply = await site.send({ method: 'GET', path });
  const bytes = await reply.bytes();
  if (reply.status >= 400) throw refusalOf(reply, bytes);
  return bytes.toString('utf8');
}

/** The bundle that the site runs. */
export async function runningText(io: Io): Promise<string> {
  await using site = await connectSite(io.env);
  // Awaited here, since the connection ends with this block.
  return await siteText(site, '/api/v1/policy/running');
}
