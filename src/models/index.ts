/** The three networks of Stable Video Diffusion and the blocks of the VAE. */
export * from './autoencoderKLTemporalDecoder.ts';
export * from './clipVisionModelWithProjection.ts';
export type { ModelName } from './names.ts';
export * from './unetSpatioTemporalConditionModel.ts';
export * from './vae/blocks.ts';
export * from './vae/coders.ts';
export * from './vae/diagonalGaussianDistribution.ts';
