/** What the configs of a model are refused for, before anything is made of them. */
import { expect } from 'chai';
import type { Json } from '../../../src/checkpoints/configs/json.ts';
import { checkIndex, readConfigs } from '../../../src/checkpoints/configs/readConfigs.ts';
import { modelConfig, schemas } from '../../../src/checkpoints/configs/schemas.ts';
import { componentNames } from '../../../src/checkpoints/diffusers/names.ts';
import { publishedConfigs } from '../../../src/checkpoints/original/publishedConfigs.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../../src/models/index.ts';
import { EulerDiscreteScheduler } from '../../../src/schedulers/index.ts';
import { parseJson } from '../../../src/text/json.ts';
import { expectError } from '../files.ts';
import { tinyConfigs } from './tinyConfigs.ts';

/** Stands for the config of the scheduler where its class is another one. */
const EDM = 'scheduler';

/** Reads the configs of the small checkpoint, in which one file has some other values. */
const readWith = (changed: string, values: Json) => {
  const edm = { scheduler: ['diffusers', 'EDMDPMSolverMultistepScheduler'] };
  const index = { ...publishedConfigs(25).index, ...(changed === EDM && edm) };
  return readConfigs('svd', index, async (file) => ({
    ...(parseJson(tinyConfigs.get(file)!) as Json),
    ...(file.startsWith(changed) && values),
  }));
};

const UNET = 'unet/config.json';
const VAE = 'vae/config.json';
const CLIP = 'image_encoder/config.json';
const SCHEDULER = 'scheduler/scheduler_config.json';
const PROCESSOR = 'feature_extractor/preprocessor_config.json';

const down = 'DownBlockSpatioTemporal';
const nested = parseJson('['.repeat(60) + ']'.repeat(60));

const refused: [file: string, values: Json, problem: string][] = [
  [UNET, { layers_per_block: 1e9 }, 'layers_per_block is 1000000000, more than 64'],
  [UNET, { layers_per_block: [1, 1, 65] }, 'layers_per_block[2] is 65, more than 64'],
  [UNET, { layers_per_block: 0 }, 'layers_per_block is 0, less than 1'],
  [UNET, { layers_per_block: '2' }, 'layers_per_block is "2", not a whole number'],
  [UNET, { layers_per_block: nested }, 'layers_per_block[0] is [...], not a whole number'],
  [
    UNET,
    { layers_per_block: 64, transformer_layers_per_block: 64 },
    'layers_per_block and transformer_layers_per_block ask for 12480 blocks in all, more than 512',
  ],
  [
    UNET,
    { down_block_types: Array(100_000).fill(down) },
    'down_block_types has 100000 entries, more than 8',
  ],
  [UNET, { down_block_types: [] }, 'down_block_types has 0 entries, fewer than 1'],
  [UNET, { down_block_types: [{ toString: 1 }] }, 'down_block_types[0] is {...}, not CrossAttn'],
  [UNET, { down_block_types: 'constructor' }, 'its blocks are of the type "constructor"'],
  [UNET, { up_block_types: [down, down, down] }, `up_block_types[0] is "${down}", not CrossAttnUp`],
  [UNET, { up_block_types: ['UpBlockSpatioTemporal'] }, 'up_block_types is a list of 1, but down_'],
  [UNET, { block_out_channels: [64] }, 'block_out_channels is a list of 1, but down_block_types'],
  [UNET, { block_out_channels: [64, 48, 64] }, 'block_out_channels[1] is 48, not divisible by 32'],
  [UNET, { num_attention_heads: [2, 2] }, 'num_attention_heads is a list of 2, but down_block_t'],
  [UNET, { num_attention_heads: 128 }, 'num_attention_heads is 128, more than the 64 channels'],
  [UNET, { num_frames: 1e9 }, 'num_frames is 1000000000, more than 1024'],
  [UNET, { sample_size: 1e6 }, 'sample_size is 1000000, more than 1024'],
  [UNET, { in_channels: 9 }, 'in_channels is 9, but twice latent_channels of the VAE is 8'],
  [UNET, { out_channels: 5 }, 'out_channels is 5, but latent_channels of the VAE is 4'],
  [
    UNET,
    { cross_attention_dim: [64, 32, 64] },
    'cross_attention_dim is 32, but projection_dim of the image encoder is 64',
  ],
  [
    UNET,
    { addition_time_embed_dim: 16 },
    'projection_class_embeddings_input_dim is 96, not 3 times addition_time_embed_dim, which is 16',
  ],
  [VAE, { scaling_factor: 'x' }, 'scaling_factor is "x", not a finite number'],
  [VAE, { scaling_factor: 0 }, 'scaling_factor is 0, not above 0'],
  [VAE, { scaling_factor: Number.NaN }, 'scaling_factor is NaN, not a finite number'],
  [VAE, { layers_per_block: 1e6 }, 'layers_per_block is 1000000, more than 64'],
  [VAE, { in_channels: 4 }, 'in_channels is 4, not 3'],
  [VAE, { force_upcast: 'yes' }, 'force_upcast is "yes", not true or false'],
  [VAE, { block_out_channels: [64] }, 'block_out_channels is a list of 1, but down_block_types'],
  [VAE, { down_block_types: ['DownBlock2D'] }, 'down_block_types[0] is "DownBlock2D", not Down'],
  [CLIP, { hidden_act: 'constructor' }, 'hidden_act is "constructor", not silu, gelu or quick_g'],
  [CLIP, { hidden_act: '__proto__' }, 'hidden_act is "__proto__", not silu'],
  [CLIP, { hidden_act: 'relu' }, 'hidden_act is "relu", not silu'],
  [CLIP, { num_hidden_layers: 1e6 }, 'num_hidden_layers is 1000000, more than 128'],
  [CLIP, { image_size: 1e6 }, 'image_size is 1000000, more than 4096'],
  [CLIP, { image_size: 16 }, 'patch_size is 32, which does not make 1 to 128 patches of image_si'],
  [CLIP, { patch_size: 1 }, 'patch_size is 1, which does not make 1 to 128 patches of image_size'],
  [CLIP, { num_attention_heads: 3 }, 'hidden_size is 64, not divisible by num_attention_heads, wh'],
  [CLIP, { num_channels: 1 }, 'num_channels is 1, not 3'],
  [SCHEDULER, { num_train_timesteps: 1e9 }, 'num_train_timesteps is 1000000000, more than 100000'],
  [SCHEDULER, { prediction_type: 'flow' }, 'prediction_type is "flow", not epsilon, sample, orig'],
  [SCHEDULER, { beta_schedule: '\u001b' }, 'beta_schedule is "\\u001b", not linear'],
  [SCHEDULER, { beta_end: 2 }, 'beta_end is 2, more than 1'],
  [SCHEDULER, { sigma_min: 800 }, 'sigma_min is 800, more than sigma_max, which is 700'],
  [SCHEDULER, { trained_betas: [0.1] }, 'trained_betas has 1 entry, fewer than 2'],
  [
    SCHEDULER,
    { use_beta_sigmas: true },
    'use_karras_sigmas and use_beta_sigmas are true, but only one of them may be',
  ],
  [EDM, { sigma_data: 0 }, 'sigma_data is 0, not above 0'],
  [EDM, { sigma_schedule: 'beta' }, 'sigma_schedule is "beta", not karras or exponential'],
  [EDM, { prediction_type: 'sample' }, 'prediction_type is "sample", not epsilon or v_prediction'],
  [
    EDM,
    { solver_order: 3, algorithm_type: 'sde-dpmsolver++' },
    'solver_order is 3, but algorithm_type sde-dpmsolver++ has the orders 1 and 2',
  ],
  [PROCESSOR, { image_std: [1, 0, 1] }, 'image_std[1] is 0, not above 0'],
  [PROCESSOR, { image_mean: 0.5 }, 'image_mean is 0.5, not a list'],
];

describe('readConfigs', () => {
  for (const [file, values, problem] of refused) {
    it(`refuses: ${problem}`, async () => {
      const message = await expectError(() => readWith(file, values), problem);
      expect(message).to.include(
        problem.startsWith('its') ? 'svd/unet is not' : `svd/${file === EDM ? SCHEDULER : file}: `,
      );
    });
  }

  it('passes over keys that it does not know, and nulls', async () => {
    const configs = await readWith(UNET, {
      ...{ sample_size: null, new_key: { layers_per_block: 1e9 }, layersPerBlock: 1e9 },
      ...{ layers__per_block: 1e9, name: 1, trainable: 0, weights: 'x', input_shape: -1 },
    });
    expect(configs.unet).to.include({ name: 1, layersPerBlock: 1e9 });
    const known = modelConfig('unet', configs.unet);
    expect(known).to.include({ layersPerBlock: 1, numFrames: 8 });
    expect(known).to.not.have.any.keys('name', 'trainable', 'weights', 'inputShape', 'newKey');
  });

  it('accepts the configs of the published models', async () => {
    const { index, configs } = publishedConfigs(25);
    checkIndex('svd', index);
    const files = new Map(
      componentNames.map((name, i) => [[...tinyConfigs.keys()][i + 1], configs[name]]),
    );
    expect(await readConfigs('svd', index, async (file) => files.get(file)!)).to.deep.equal(
      configs,
    );
  });

  it('has a rule for every argument of the models', () => {
    const models = {
      unet: new UNetSpatioTemporalConditionModel(),
      vae: new AutoencoderKLTemporalDecoder(),
      image_encoder: new CLIPVisionModelWithProjection(),
      scheduler: new EulerDiscreteScheduler(),
    };
    for (const [name, { config }] of Object.entries(models)) {
      const keys = Object.keys(schemas[name as keyof typeof models].rules);
      const ones = modelConfig(
        name as keyof typeof models,
        Object.fromEntries(keys.map((key) => [key, 1])),
      );
      expect(Object.keys(ones)).to.include.members(Object.keys(config));
    }
  });

  it('knows components whatever their entries in the index are', async () => {
    const index = parseJson(tinyConfigs.get('model_index.json')!) as Json;
    for (const vae of [null, 'x', [], ['diffusers', {}], { 1: 'x' }, [null, null]])
      await expectError(() => checkIndex('svd', { ...index, vae }), 'model_index.json lacks vae');
    for (const _class_name of [undefined, {}, { toString: 1 }, 1, 'constructor'])
      await expectError(() => checkIndex('svd', { ...index, _class_name }), 'holds a model for');
  });
});
