import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLevel, jsonLog, LOG_LEVELS } from './log.ts';
import { systemWorld } from './world.ts';

test('a level lets through itself and what is graver', () => {
  const seen = LOG_LEVELS.map((level) => {
    const lines: string[] = [];
    const log = atLevel(
      jsonLog(systemWorld().clock, (line) => void lines.push(JSON.parse(line).level)),
      level,
    );
    for (const grave of ['info', 'warn', 'error'] as const) log[grave]('something');
    return lines;
  });
  assert.deepEqual(seen, [['info', 'warn', 'error'], ['warn', 'error'], ['error'], []]);
});
