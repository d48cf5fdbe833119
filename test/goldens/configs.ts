/**
 * The configurations of the models in svd-goldens.json, which holds only their outputs. Tests
 * compare the number and size of the weights.
 */
import { testBackend } from '../setup.ts';

/**
 * Whether only the smallest model of each kind runs: the cpu backend needs minutes for some of the
 * others.
 */
export const smallOnly = testBackend === 'cpu';

const small = ['vae_L1', 'clip_gelu_p4', 'unet_heads_tuple'];

/** Those of `configs` that run on this backend, by name. */
export const runHere = <T>(configs: Record<string, T>): [string, T][] =>
  Object.entries(configs).filter(([name]) => !smallOnly || small.includes(name));

/** Block types as published: attention on all levels but the last. */
const blocks = (levels: number) => {
  const cross = Array<string>(levels - 1);
  return {
    down_block_types: [
      ...cross.fill('CrossAttnDownBlockSpatioTemporal'),
      'DownBlockSpatioTemporal',
    ],
    up_block_types: ['UpBlockSpatioTemporal', ...cross.fill('CrossAttnUpBlockSpatioTemporal')],
  };
};

/** diffusers' UNet for fast tests. */
const tinyUNet = {
  sample_size: 32,
  in_channels: 8,
  out_channels: 4,
  block_out_channels: [32, 64],
  layers_per_block: 2,
  cross_attention_dim: 32 as number | number[],
  num_attention_heads: 8 as number | number[],
  addition_time_embed_dim: 32,
  projection_class_embeddings_input_dim: 96,
  ...blocks(2),
};

export const unets: Record<string, Record<string, unknown>> = {
  unet_pipe_tiny: tinyUNet,
  unet_model_test: { ...tinyUNet, in_channels: 4 },
  unet_heads_tuple: { ...tinyUNet, num_attention_heads: [8, 16], cross_attention_dim: [32, 32] },
  unet_3level_odd: {
    ...tinyUNet,
    block_out_channels: [32, 64, 64],
    num_attention_heads: [2, 4, 4],
    ...blocks(3),
  },
  unet_4level: {
    ...tinyUNet,
    block_out_channels: [32, 32, 64, 64],
    layers_per_block: 1,
    num_attention_heads: [1, 2, 4, 4],
    ...blocks(4),
  },
};

const vae = (layersPerBlock: number) => ({
  block_out_channels: [32, 64],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
  layers_per_block: layersPerBlock,
  latent_channels: 4,
});

export const vaes: Record<string, Record<string, unknown>> = { vae_L1: vae(1), vae_L2: vae(2) };

const clipTiny = {
  hidden_size: 32,
  projection_dim: 32,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  intermediate_size: 37,
};

export const clips: Record<string, Record<string, unknown> & { image_size: number }> = {
  clip_pipe_tiny: { ...clipTiny, image_size: 32, patch_size: 1, hidden_act: 'quick_gelu' },
  clip_gelu_p4: {
    ...{
      hidden_size: 32,
      projection_dim: 16,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      intermediate_size: 48,
    },
    ...{ image_size: 16, patch_size: 4, hidden_act: 'gelu' },
  },
};

const scheduler = {
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  prediction_type: 'v_prediction',
  interpolation_type: 'linear',
  use_karras_sigmas: true,
  sigma_min: 0.002,
  sigma_max: 700,
  timestep_spacing: 'leading',
  timestep_type: 'continuous',
  steps_offset: 1,
};

const parts = { unet: tinyUNet, vae: vae(1), scheduler };

export const pipelines = {
  pipeline_tiny: { ...parts, image_encoder: clips.clip_pipe_tiny! },
  pipeline_pil: {
    ...parts,
    image_encoder: {
      ...{
        hidden_size: 32,
        projection_dim: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 64,
      },
      ...{ image_size: 224, patch_size: 56, hidden_act: 'gelu' },
    },
  },
};
