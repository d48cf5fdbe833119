import type { ModelConfigs } from '../../src/memory/stages.ts';

/**
 * Models that are planned fast. The VAE has the published factor, so that decoding needs the most
 * memory.
 */
export const smallConfigs: ModelConfigs = {
  unet: {
    ...{
      blockOutChannels: [32, 64],
      layersPerBlock: 1,
      numAttentionHeads: [1, 2],
      crossAttentionDim: 32,
    },
    downBlockTypes: ['CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'],
    upBlockTypes: ['UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'],
  },
  vae: { blockOutChannels: [32, 32, 32, 32], downBlockTypes: Array(4).fill('DownEncoderBlock2D') },
  imageEncoder: {
    hiddenSize: 32,
    intermediateSize: 64,
    projectionDim: 32,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    patchSize: 56,
  },
};
