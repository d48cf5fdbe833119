/**
 * Stable Video Diffusion for TensorFlow.js in Node: one still picture in, a short video out.
 * Layers, schedules, checkpoints and more have subpaths of their own.
 */
export {
  type AddLoraOptions,
  addLora,
  fuseLora,
  type LoadLoraOptions,
  type LoraOptions,
  type LoraTarget,
  loadLora,
  type SaveLoraOptions,
  saveLora,
  setLoraScales,
  unloadLora,
} from './adapters/index.ts';
export {
  type BackendChoice,
  type BackendName,
  type BackendOptions,
  type BackendReport,
  backendChoices,
  backendNames,
  listBackends,
  releaseBackend,
  removeTensorflow,
  removeWebgpu,
  type SetupOptions,
  setUpTensorflow,
  setUpWebgpu,
  useBackend,
} from './backends/index.ts';
export { DeviceLostError } from './backends/webgpu/guard.ts';
export {
  generateMany,
  type ManyOptions,
  type ManyOutcome,
  type ManyPicture,
  type PictureCall,
  type PictureOptions,
} from './batch/generateMany.ts';
export {
  type Checkpoint,
  CheckpointError,
  type CheckpointIdentity,
  type DownloadOptions,
  downloadModel,
  type Format,
  identifyCheckpoint,
  type LoadLayerWeightsOptions,
  loadLayerWeights,
  type OpenOptions,
  openCheckpoint,
  packagedModel,
} from './checkpoints/index.ts';
export type { FloatArray } from './media/image.ts';
export {
  checkOutput,
  clipPixelValues,
  type ExportOptions,
  exportToVideo,
  framesToImages,
  loadImage,
  type RgbImage,
  readMetadata,
  type VideoEncoder,
  vaePixelValues,
} from './media/index.ts';
export { MemoryError } from './memory/errors.ts';
export type { BlockEstimate, Estimate, StageEstimate } from './memory/estimate.ts';
export type { OffloadMode } from './memory/offloadModes.ts';
export {
  type GivenSettings,
  type MemoryPlan,
  type MemoryRequest,
  planMemory,
} from './memory/plan.ts';
export type { Device } from './memory/shapes/allocators.ts';
export type { MemorySettings, ModelConfigs, VideoSize } from './memory/stages.ts';
export {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export type { CallPlanner, Components, FeatureExtractor, Offload } from './pipelines/components.ts';
export { latentPreviews } from './pipelines/latentPreviews.ts';
export {
  type DescribeOptions,
  type DevicePlan,
  describeModel,
  type ModelDescription,
  type ModelSummary,
} from './pipelines/loading/describeModel.ts';
export type { SaveOptions } from './pipelines/loading/savePretrained.ts';
export { type SingleFileLoadOptions, StableVideoDiffusionPipeline } from './pipelines/node.ts';
export {
  loadSamplingState,
  type StateExtras,
  saveSamplingState,
} from './pipelines/resume/stateFile.ts';
export type {
  CallbackTensors,
  CallingPipeline,
  DeepCacheOptions,
  Frames,
  GenerateOptions,
  ImageInput,
  LoadOptions,
  OutputType,
  PlannedCall,
  Progress,
  SamplingState,
  StepCallback,
  Videos,
} from './pipelines/types.ts';
export { Generator, randnTensor } from './random/index.ts';
export {
  AnimateLCMSVDStochasticIterativeScheduler,
  alignYourSteps,
  EDMDPMSolverMultistepScheduler,
  EDMEulerScheduler,
  EulerDiscreteScheduler,
  type Scheduler,
  type SchedulerName,
  schedulerByName,
} from './schedulers/index.ts';
