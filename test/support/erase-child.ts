// Opens a site on a data directory and erases a request, ending itself at the step that it is told.
import { endAt, openChildSite } from './site-child.ts';

const [config = '', data = '', rid = '', fatal = ''] = process.argv.slice(2);
await using site = await openChildSite(config, data, { eraseStep: endAt(fatal) });
await site.eraser.erase(rid, 'appi-35', { id: 'k_test', tenant: 'o_test', roles: ['admin'] });
