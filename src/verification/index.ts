/** Comparing a pipeline with tensors of diffusers, stage by stage. */
export { compareTensors, type TensorComparison, type Values } from './compareTensors.ts';
export {
  checkSameCheckpoint,
  checkSameLoras,
  type Reference,
  type ReferenceCall,
  type ReferenceLora,
  readReference,
} from './reference.ts';
export { type StageResult, stageTolerances } from './stageResult.ts';
export { type VerifyOptions, verifyReference } from './verify.ts';
