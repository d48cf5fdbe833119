/**
 * The smallest pipeline that has every part: two UNet levels, a VAE of factor 2, frames of 16x8
 * pixels.
 */
import type { GenerateOptions } from '../../src/pipelines/types.ts';
import { inputPicture } from './nameHash.ts';
import { pipelineByName } from './pipelines.ts';

const components = {
  unet: {
    ...{
      sample_size: 4,
      in_channels: 8,
      out_channels: 4,
      block_out_channels: [32, 32],
      layers_per_block: 1,
      num_frames: 3,
    },
    ...{
      cross_attention_dim: 8,
      num_attention_heads: 2,
      addition_time_embed_dim: 8,
      projection_class_embeddings_input_dim: 24,
    },
    down_block_types: ['CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'],
    up_block_types: ['UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'],
  },
  vae: {
    block_out_channels: [32, 32],
    down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
    layers_per_block: 1,
  },
  image_encoder: {
    ...{
      hidden_size: 8,
      intermediate_size: 8,
      projection_dim: 8,
      num_hidden_layers: 2,
      num_attention_heads: 2,
    },
    ...{ image_size: 8, patch_size: 4, hidden_act: 'gelu' },
  },
  scheduler: {
    ...{
      beta_start: 0.00085,
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      prediction_type: 'v_prediction',
      steps_offset: 1,
    },
    ...{
      use_karras_sigmas: true,
      sigma_min: 0.002,
      sigma_max: 700,
      timestep_spacing: 'leading',
      timestep_type: 'continuous',
    },
  },
};

export const tinyPipeline = () => pipelineByName(components);

export const picture = inputPicture('picture', 20, 12);
export const otherPicture = inputPicture('other picture', 20, 12);

/** Options of a call that returns `{ frames }`. */
export type Options = Omit<GenerateOptions, 'returnDict' | 'outputType'>;

/** A call that takes some tenths of a second. */
export const options: Options = { height: 8, width: 16, numFrames: 2, numInferenceSteps: 2 };
