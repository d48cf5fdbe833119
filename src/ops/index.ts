/** Pure tensor functions, channels-last, each with the formulations that devices run fastest. */
export * from './activations.ts';
export * from './attention.ts';
export * from './convolution.ts';
export * from './embeddings.ts';
export * from './formulations.ts';
export * from './geglu.ts';
export { type ComputeDtype, computeDtypes, computeIn, possibleComputeDtypes } from './halfPrecision.ts';
export * from './linear.ts';
export { isHalf, widened, widenedSlice } from './nativeTensors.ts';
export * from './normalization.ts';
export * from './resize.ts';
export * from './shaped.ts';
export * from './slices.ts';
export * from './upsample.ts';
