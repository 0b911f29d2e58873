import assert from 'node:assert/strict';
import { test } from 'node:test';

import { labelToHeader, parseLabel, raiseLabel, uniteLabels } from './labels.ts';

test('reads a confidentiality with categories and writes it back sorted', () => {
  const label = parseLabel('c2, personal,\tfinancial');
  assert.deepEqual(label, { conf: 2, categories: ['financial', 'personal'] });
  assert.equal(labelToHeader(label), 'c2,financial,personal');
  assert.deepEqual(parseLabel(labelToHeader(label)), label);
});

test('refuses every malformed label without echoing it', () => {
  const malformed = [
    '',
    ' ',
    'c0',
    'c4',
    'C2',
    'c2;personal',
    'personal',
    'personal,c2',
    'c2,',
    'c2,,personal',
    'c2,secret',
    'c2,personal,personal',
    'c2, c3',
    'c２',
    'c2\u00a0',
    'c2,__proto__',
    `c2,${'personal,'.repeat(100)}`,
  ];
  for (const text of malformed)
    assert.throws(
      () => parseLabel(text),
      (fault: Error) =>
        'code' in fault &&
        fault.code === 'policy.label' &&
        (text.length < 9 || !fault.message.includes(text)),
      `accepted ${JSON.stringify(text)}`,
    );
});

test('a header raises confidentiality and adds categories', () => {
  const floor = parseLabel('c2,personal');
  assert.deepEqual(raiseLabel(floor, null), { kind: 'label', label: floor });
  assert.deepEqual(raiseLabel(floor, 'c3,health'), {
    kind: 'label',
    label: parseLabel('c3,health,personal'),
  });
  assert.deepEqual(raiseLabel(floor, 'c2'), { kind: 'label', label: floor });
});

test('a header that asks for less than the floor is a downgrade, whatever categories it adds', () => {
  const floor = parseLabel('c2');
  const answer = raiseLabel(floor, 'c1,personal');
  assert.deepEqual(answer, { kind: 'downgrade', label: floor, asked: parseLabel('c1,personal') });
});

test('united labels carry the higher confidentiality and all categories', () => {
  assert.deepEqual(
    uniteLabels(parseLabel('c1,health'), parseLabel('c3,personal')),
    parseLabel('c3,health,personal'),
  );
});

test('a label cannot be changed by who receives it', () => {
  assert.ok(Object.isFrozen(parseLabel('c2')) && Object.isFrozen(parseLabel('c2').categories));
});
