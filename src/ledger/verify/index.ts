// The `./verify` entry of the package: everything that may be used from outside, for Node and browsers alike.
/* oxlint-disable oxc/no-barrel-file -- a package entry has to name what the package exports */
export { type Bodies } from './opening.ts';
export { type Checkpoint, verifyCheckpoint } from './checkpoint.ts';
export { type AttemptFacts, type DecisionFacts, type OutcomeFacts, type Summary } from './facts.ts';
export { type Cosigned, cosigners, meetsQuorum } from './cosignature.ts';
export { Defect, type Exit } from './findings.ts';
export { type Policy, parsePolicy, type Quorum, type Witness } from './policy.ts';
export { type ConsistencyProof, type InclusionProof, verifyConsistency, verifyInclusion } from './proof.ts';
export { type Hash, hashChildren, hashLeaf, rootFromEntries, TreeRoot } from './tree.ts';
export { type ProvenEntry, verifyTlogProof } from './tlog-proof.ts';
export { type Trust, type Verdict, verifyReceipt } from './verify.ts';
export { type CosignerKey, parseCosignerVkey, parseVkey, type Vkey } from './vkey.ts';
