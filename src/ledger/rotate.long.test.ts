import { test } from 'node:test';
import { survivesPowerCuts } from '../../test/support/rotation.ts';

test('a rotation cut short after any single operation of the disk is finished by the next start', async (t) => {
  const { operations, cuts } = await survivesPowerCuts(1);
  t.diagnostic(`cut ${cuts} times in ${operations} operations`);
});
