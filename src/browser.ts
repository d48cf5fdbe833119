/** Stable Video Diffusion for TensorFlow.js: what runs without Node. Pictures come as RGB bytes or tensors, weights from memory. */
export * from './checkpoints/browser.ts';
export * from './layers/index.ts';
export type { RgbImage } from './media/image.ts';
export * from './media/preprocess.ts';
export * from './media/resample.ts';
export * from './models/index.ts';
export { type FormulationSet, useFormulations } from './ops/formulations.ts';
export * from './pipelines/components.ts';
export * from './pipelines/stableVideoDiffusion.ts';
export * from './pipelines/types.ts';
export * from './random/index.ts';
export * from './schedulers/index.ts';
