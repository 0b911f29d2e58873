// Opens a site on a data directory and erases an organisation, ending itself at the step that it is told.
import { endAt, openChildSite } from './site-child.ts';

const [config = '', data = '', tenant = '', fatal = ''] = process.argv.slice(2);
await using site = await openChildSite(config, data, { eraseStep: endAt(fatal) });
const order = { tenant, ground: 'appi-22', dryRun: false } as const;
await site.eraser.eraseMany(order, { id: 'k_test', tenant: 'o_test', roles: ['admin'] });
