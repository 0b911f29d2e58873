import type { ModelFacts } from './store.ts';

/** A CycloneDX 1.6 bill of materials with the model as its one component. */
export function billOfMaterials(facts: ModelFacts): object {
  const licence = facts.licence === null ? {} : { licenses: [{ expression: facts.licence }] };
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    components: [
      {
        type: 'machine-learning-model',
        'bom-ref': `sha256:${facts.sha256}`,
        name: facts.name,
        version: facts.file,
        hashes: [{ alg: 'SHA-256', content: facts.sha256 }],
        ...licence,
        externalReferences: [
          { type: 'website', url: facts.origin },
          { type: 'distribution', url: facts.source },
        ],
      },
    ],
  };
}
