/** The configs of the published models, for original files, which hold only weights. */
import type { Component } from '../diffusers/names.ts';

type Json = Record<string, unknown>;
const cross = (way: string) => `CrossAttn${way}BlockSpatioTemporal`;

/** The configs of a published model, as JSON. */
export interface PublishedConfigs {
  /** `model_index.json`. */
  index: Json;
  /** Those of its components. */
  configs: Record<Component, Json>;
}

/** The configs of a published model that was trained on so many frames. */
export function publishedConfigs(numFrames: number): PublishedConfigs {
  const index = {
    _class_name: 'StableVideoDiffusionPipeline',
    feature_extractor: ['transformers', 'CLIPImageProcessor'],
    image_encoder: ['transformers', 'CLIPVisionModelWithProjection'],
    scheduler: ['diffusers', 'EulerDiscreteScheduler'],
    unet: ['diffusers', 'UNetSpatioTemporalConditionModel'],
    vae: ['diffusers', 'AutoencoderKLTemporalDecoder'],
  };
  const configs = {
    unet: {
      _class_name: 'UNetSpatioTemporalConditionModel',
      addition_time_embed_dim: 256,
      block_out_channels: [320, 640, 1280, 1280],
      cross_attention_dim: 1024,
      down_block_types: [cross('Down'), cross('Down'), cross('Down'), 'DownBlockSpatioTemporal'],
      in_channels: 8,
      layers_per_block: 2,
      num_attention_heads: [5, 10, 20, 20],
      num_frames: numFrames,
      out_channels: 4,
      projection_class_embeddings_input_dim: 768,
      sample_size: 96,
      transformer_layers_per_block: 1,
      up_block_types: ['UpBlockSpatioTemporal', cross('Up'), cross('Up'), cross('Up')],
    },
    vae: {
      _class_name: 'AutoencoderKLTemporalDecoder',
      block_out_channels: [128, 256, 512, 512],
      down_block_types: Array(4).fill('DownEncoderBlock2D'),
      force_upcast: true,
      in_channels: 3,
      latent_channels: 4,
      layers_per_block: 2,
      out_channels: 3,
      sample_size: 768,
      scaling_factor: 0.18215,
    },
    image_encoder: {
      architectures: ['CLIPVisionModelWithProjection'],
      attention_dropout: 0,
      hidden_act: 'gelu',
      hidden_size: 1280,
      image_size: 224,
      intermediate_size: 5120,
      layer_norm_eps: 1e-5,
      model_type: 'clip_vision_model',
      num_attention_heads: 16,
      num_channels: 3,
      num_hidden_layers: 32,
      patch_size: 14,
      projection_dim: 1024,
    },
    scheduler: {
      _class_name: 'EulerDiscreteScheduler',
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      beta_start: 0.00085,
      clip_sample: false,
      interpolation_type: 'linear',
      num_train_timesteps: 1000,
      prediction_type: 'v_prediction',
      set_alpha_to_one: false,
      sigma_max: 700,
      sigma_min: 0.002,
      skip_prk_steps: true,
      steps_offset: 1,
      timestep_spacing: 'leading',
      timestep_type: 'continuous',
      trained_betas: null,
      use_karras_sigmas: true,
    },
    feature_extractor: {
      crop_size: { height: 224, width: 224 },
      do_center_crop: true,
      do_convert_rgb: true,
      do_normalize: true,
      do_rescale: true,
      do_resize: true,
      feature_extractor_type: 'CLIPFeatureExtractor',
      image_mean: [0.48145466, 0.4578275, 0.40821073],
      image_processor_type: 'CLIPImageProcessor',
      image_std: [0.26862954, 0.26130258, 0.27577711],
      resample: 3,
      rescale_factor: 1 / 255,
      size: { shortest_edge: 224 },
    },
  };
  return { index, configs };
}

/** The frames that a published file of this name was trained on. */
export function framesByName(path: string): number | undefined {
  const name = path.toLowerCase().split(/[/\\]/).at(-1)!;
  if (/^svd_xt\b|^svd_xt_/.test(name)) return 25;
  return /^svd(_image_decoder)?\.safetensors$/.test(name) ? 14 : undefined;
}
