// A site of one room that kills itself at a named point: outbox-child.ts DIR POINT
import { openDatabase } from '../../src/storage/database.ts';
import { openOutbox, type OutboxLeaf, type OutboxLog } from '../../src/storage/outbox.ts';
import { fileLog } from './outbox-log.ts';
import { changeOnce, openNotes } from './outbox-site.ts';

const [dir = '', point = ''] = process.argv.slice(2);
let armed = false;
const reach = (name: string): void => {
  if (armed && name === point) process.kill(process.pid, 'SIGKILL');
};

const real = fileLog(dir);
const log: OutboxLog<OutboxLeaf> = {
  ...real,
  async append(leaf) {
    reach('size-noted');
    const index = await real.append(leaf);
    reach('appended');
    return index;
  },
};

const database = await openDatabase({ url: 'sqlite', dir });
const db = await openNotes(database);
const outbox = await openOutbox(database, log);
await changeOnce(db, outbox, 'first');
await outbox.pump();
armed = true;
await changeOnce(db, outbox, 'second', () => reach('in-transaction'));
reach('committed');
await outbox.pump();
reach('marked');
