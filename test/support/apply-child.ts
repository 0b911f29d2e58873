// Opens a site on a data directory and applies a signed bundle, ending itself at the step that it is told.
import { readFileSync } from 'node:fs';
import { endAt, openChildSite } from './site-child.ts';

const [config = '', data = '', file = '', fatal = ''] = process.argv.slice(2);
await using site = await openChildSite(config, data, { applyStep: endAt(fatal) });
await site.governor.apply(readFileSync(file, 'utf8'), { immediate: false });
