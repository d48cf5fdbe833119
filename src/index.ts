/** Stable Video Diffusion for TensorFlow.js: everything public in Node. */
export * from './backends/index.ts';
export * from './checkpoints/index.ts';
export * from './layers/index.ts';
export * from './media/index.ts';
export * from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export * from './pipelines/compareTensors.ts';
export * from './pipelines/components.ts';
export * from './pipelines/describeModel.ts';
export { StableVideoDiffusionPipeline } from './pipelines/fromPretrained.ts';
export type { Estimate, OffloadMode, StageEstimate } from './pipelines/memoryEstimate.ts';
export { type FixedSettings, type MemoryPlan, type MemoryRequest, planMemory } from './pipelines/memoryPlan.ts';
export type { Levers, ModelConfigs, VideoSize } from './pipelines/memoryStages.ts';
export { checkSameCheckpoint, type Reference, type ReferenceCall, readReference } from './pipelines/reference.ts';
export * from './pipelines/types.ts';
export { type StageResult, stageTolerances, type VerifyOptions, verifyReference } from './pipelines/verify.ts';
export * from './random/index.ts';
export * from './schedulers/index.ts';
