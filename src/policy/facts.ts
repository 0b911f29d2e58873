import type { Context, EntityJson, EntityUid } from '@cedar-policy/cedar-wasm/nodejs';

import { recordAt } from './residency.ts';
import type { DecisionInput, Endpoint, SiteFacts } from './types.ts';

/** What Cedar is asked about one endpoint; the names are those of packs/default/schema.cedarschema. */
export interface CedarQuestion {
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  readonly context: Context;
  readonly entities: EntityJson[];
}

const INFER: EntityUid = { type: 'Action', id: 'infer' };

/** The question whether `input` may go to `endpoint`; flat, since decoding entities is most of a decision's cost. */
export function cedarQuestion(site: SiteFacts, input: DecisionInput, endpoint: Endpoint): CedarQuestion {
  const principal = { type: 'Caller', id: input.caller.id };
  const resource = { type: 'Endpoint', id: endpoint.id };
  return {
    principal,
    action: INFER,
    resource,
    context: {
      label: { conf: input.label.conf, categories: [...input.label.categories] },
      model: input.model,
      ...(input.purpose === null ? {} : { purpose: input.purpose }),
      approved: input.approved ?? false,
      site: { jurisdiction: site.jurisdiction, posture: site.posture },
    },
    entities: [
      { uid: principal, attrs: { tenant: input.caller.tenant, roles: [...input.caller.roles] }, parents: [] },
      { uid: resource, attrs: endpointFacts(endpoint, input.now), parents: [] },
    ],
  };
}

function endpointFacts(endpoint: Endpoint, now: number): EntityJson['attrs'] {
  const { record } = endpoint;
  const { current, evidence } = recordAt(record, now);
  return {
    provider: endpoint.provider,
    model: endpoint.id.slice(endpoint.provider.length + 1),
    kind: endpoint.kind,
    accepts: endpoint.accepts,
    ownMachine: endpoint.ownMachine,
    recorded: record !== null,
    current,
    selfDeclared: record?.selfDeclared ?? false,
    certifications: [...(record?.certifications ?? [])],
    evidence: [...evidence],
    ...(record === null
      ? {}
      : known({
          operator: record.operator,
          operatorNationality: record.operatorNationality,
          inference: record.inference,
          storage: record.storage,
          logs: record.logs,
          support: record.support,
          keyCustody: record.keyCustody,
          retentionDays: record.retentionDays,
          sku: record.sku,
          training: record.training,
          abuseReview: record.abuseReview,
          posture: record.posture,
          legalBasis: record.legalBasis,
          contract: record.contract ?? null,
        })),
  };
}

// An unknown fact is absent, so that strict validation makes every policy say what absence means.
function known(facts: Record<string, string | number | boolean | null>): EntityJson['attrs'] {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null));
}
