/** Stable Video Diffusion for TensorFlow.js: everything public in Node. */
export * from './backends/index.ts';
export * from './checkpoints/index.ts';
export * from './layers/index.ts';
export * from './media/index.ts';
export { MemoryError } from './memory/errors.ts';
export type { Estimate, OffloadMode, StageEstimate } from './memory/estimate.ts';
export {
  type GivenSettings,
  type MemoryPlan,
  type MemoryRequest,
  planMemory,
} from './memory/plan.ts';
export type { MemorySettings, ModelConfigs, VideoSize } from './memory/stages.ts';
export * from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export * from './pipelines/components.ts';
export * from './pipelines/loading/describeModel.ts';
export { StableVideoDiffusionPipeline } from './pipelines/node.ts';
export * from './pipelines/types.ts';
export * from './random/index.ts';
export * from './schedulers/index.ts';
export * from './verification/compareTensors.ts';
export {
  checkSameCheckpoint,
  type Reference,
  type ReferenceCall,
  readReference,
} from './verification/reference.ts';
export {
  type StageResult,
  stageTolerances,
  type VerifyOptions,
  verifyReference,
} from './verification/verify.ts';
