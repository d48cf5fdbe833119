/** The three networks of Stable Video Diffusion and the blocks of the VAE. */
export * from './autoencoderKLTemporalDecoder.ts';
export * from './clipVisionModelWithProjection.ts';
export * from './diagonalGaussianDistribution.ts';
export * from './unetSpatioTemporalConditionModel.ts';
export * from './vaeBlocks.ts';
export * from './vaeCoders.ts';
