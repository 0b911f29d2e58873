import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFacts } from '../core/log.ts';
import { Troubles } from './troubles.ts';

test('the words of a cause, which may name paths, stay in the log', () => {
  const logged: LogFacts[] = [];
  const log = {
    info() {},
    warn() {},
    error: (_event: string, facts: LogFacts = {}) => void logged.push(facts),
  };
  const troubles = new Troubles(log);
  troubles.set('keys', 'request keys cannot be stored', new Error('EACCES: open /srv/data/keys'));
  assert.equal(troubles.first(), 'request keys cannot be stored');
  assert.equal(logged[0]?.['cause'], 'EACCES: open /srv/data/keys');
  troubles.set('keys', null);
  assert.equal(troubles.first(), null);
});
