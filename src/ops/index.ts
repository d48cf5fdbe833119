/** Pure tensor functions, channels-last, each with the formulations that devices run fastest. */
export * from './activations.ts';
export * from './attention.ts';
export * from './convolution/convolution.ts';
export * from './convolution/resize.ts';
export * from './convolution/upsample.ts';
export * from './embeddings.ts';
export * from './formulations.ts';
export {
  forProducts,
  sliceForProducts,
  widened,
  widenedSlice,
} from './halfWeights/halfWeights.ts';
export { isHalf } from './halfWeights/held.ts';
export * from './linear.ts';
export * from './normalization.ts';
export * from './reshapeTo.ts';
export * from './sequential.ts';
export * from './slices.ts';
export {
  type ComputeDtype,
  computeDtypes,
  computeIn,
  halfGain,
  oneDnnServes,
} from './tensorflow/computeIn.ts';
export { canComputeIn } from './tensorflow/halfPrecision.ts';
