/**
 * Stable Video Diffusion for TensorFlow.js in browsers: all that runs without Node. Pictures come
 * as RGB bytes or tensors, weights from URLs or memory. Layers, models and schedules have subpaths
 * of their own, which run in browsers too.
 */
export {
  type AddLoraOptions,
  addLora,
  fuseLora,
  type LoadLoraUrlOptions,
  type LoraOptions,
  type LoraTarget,
  loadLora,
  setLoraScales,
  unloadLora,
} from './adapters/browser.ts';
export {
  type BrowserBackend,
  browserBackends,
  type ChosenBackend,
  type Refusal,
  useBrowserBackend,
} from './backends/browser.ts';
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
  type BlockTensor,
  type BlockTensorsOptions,
  type ByteReader,
  blockTensors,
  type Checkpoint,
  CheckpointError,
  camelCaseConfig,
  checkWeights,
  type Format,
  type LoadWeightsOptions,
  loadWeights,
  memoryBytes,
  memorySource,
  readSafetensors,
  type SafetensorsFile,
  type TensorInfo,
  type TensorValues,
  type WeightSource,
} from './checkpoints/browser.ts';
export type { Download } from './checkpoints/web/files.ts';
export {
  type LoadLayerUrlOptions,
  loadLayerWeights,
} from './checkpoints/web/loadLayerWeights.ts';
export {
  type OpenSingleFileUrlOptions,
  openSingleFileUrl,
} from './checkpoints/web/openSingleFile.ts';
export { type OpenUrlOptions, openUrl, type WebCheckpoint } from './checkpoints/web/openUrl.ts';
export { packagedModel } from './checkpoints/web/packagedModel.ts';
export type { FloatArray, RgbImage } from './media/image.ts';
export { clipPixelValues, framesToImages, vaePixelValues } from './media/preprocess.ts';
export type { CreateEncoder } from './media/video/encoders/h264.ts';
export {
  type BrowserVideoFormat,
  canEncodeVideo,
  type EncodeVideoOptions,
  encodeVideo,
} from './media/video/encodeVideo.ts';
export { browserMemoryLimits } from './memory/browserLimits.ts';
export { MemoryError } from './memory/errors.ts';
export {
  type GivenSettings,
  type MemoryPlan,
  type MemoryRequest,
  planMemory,
} from './memory/plan.ts';
export type { MemorySettings, ModelConfigs, VideoSize } from './memory/stages.ts';
export {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export {
  type SingleFileUrlOptions,
  StableVideoDiffusionPipeline,
  type UrlOptions,
} from './pipelines/browser.ts';
export type { CallPlanner, Components, FeatureExtractor, Offload } from './pipelines/components.ts';
export { latentPreviews } from './pipelines/latentPreviews.ts';
export {
  type DescribeUrlOptions,
  describeModel,
  type UrlDescription,
} from './pipelines/loading/describeUrl.ts';
export type {
  CallbackTensors,
  CallingPipeline,
  DeepCacheOptions,
  Frames,
  GenerateOptions,
  ImageInput,
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
