/**
 * Stable Video Diffusion for TensorFlow.js: what runs without Node. Pictures come as RGB bytes or
 * tensors, weights from URLs or memory.
 */
export {
  type BrowserBackend,
  browserBackends,
  type ChosenBackend,
  type Refusal,
  useBrowserBackend,
} from './backends/browser.ts';
export * from './checkpoints/browser.ts';
export * from './layers/index.ts';
export { encodeMp4, type Mp4Options } from './media/encodeMp4.ts';
export type { CreateEncoder } from './media/h264.ts';
export type { RgbImage } from './media/image.ts';
export * from './media/preprocess.ts';
export * from './media/resample.ts';
export * from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export { StableVideoDiffusionPipeline, type UrlOptions } from './pipelines/browser.ts';
export * from './pipelines/components.ts';
export * from './pipelines/types.ts';
export * from './random/index.ts';
export * from './schedulers/index.ts';
export * from './verification/compareTensors.ts';
