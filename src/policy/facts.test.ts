import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkParseContext, checkParseEntities, isAuthorized } from '@cedar-policy/cedar-wasm/nodejs';

import { AT, ask, sampleEngine, type Variation } from '../../test/support/policy.ts';
import { cedarQuestion } from './facts.ts';
import { vocabulary } from './vocabulary.ts';

const unknown = {
  operatorNationality: null,
  inference: null,
  storage: null,
  logs: null,
  support: null,
  keyCustody: null,
  retentionDays: null,
  sku: null,
  training: null,
  abuseReview: null,
  legalBasis: null,
  contract: null,
};
const evidence = [{ document: 'd', digest: `sha256:${'0'.repeat(64)}`, expires: AT + 1 }];
const variations: Variation[] = [{}, { record: null }, { record: unknown }, { record: { evidence } }];

test('the facts handed to Cedar are exactly those that the schema declares', () => {
  const schema = vocabulary();
  for (const variation of variations) {
    const engine = sampleEngine({ ...variation, purposes: ['p'] });
    for (const purpose of [null, 'p'])
      for (const endpoint of engine.endpoints) {
        const input = ask({ purpose, label: { conf: 2, categories: ['personal'] } });
        const question = cedarQuestion(engine.bundle.site, input, endpoint);
        const { context, action, entities } = question;
        assert.equal(checkParseEntities({ entities, schema }).type, 'success');
        assert.equal(checkParseContext({ context, action, schema }).type, 'success');
        const policies = { staticPolicies: 'permit(principal, action, resource);' };
        assert.equal(isAuthorized({ ...question, schema, validateRequest: true, policies }).type, 'success');
      }
  }
});

test('the check notices a fact that the schema does not declare', () => {
  const engine = sampleEngine();
  const [endpoint] = engine.endpoints;
  assert.ok(endpoint !== undefined);
  const { entities } = cedarQuestion(engine.bundle.site, ask(), endpoint);
  const planted = entities.map((entity) => ({ ...entity, attrs: { ...entity.attrs, planted: true } }));
  assert.equal(checkParseEntities({ entities: planted, schema: vocabulary() }).type, 'failure');
});
