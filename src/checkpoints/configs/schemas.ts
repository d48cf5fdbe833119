/**
 * The values that the configs of a model may have: for each file its rules, and the relations
 * between its values. Other keys of a file are passed over.
 */
import { AutoencoderKLTemporalDecoder } from '../../models/autoencoderKLTemporalDecoder.ts';
import { CLIPVisionModelWithProjection } from '../../models/clipVisionModelWithProjection.ts';
import { listPerLevel } from '../../models/perBlock.ts';
import { unetChecks } from '../../models/unetConfig.ts';
import { edmProblem } from '../../schedulers/edm/edmConfig.ts';
import { eulerDiscreteTable } from '../../schedulers/euler/eulerDiscreteConfig.ts';
import { type Kind, listOf, number, oneOf, whole } from '../../text/kinds.ts';
import type { Component } from '../diffusers/names.ts';
import type { Json } from './json.ts';
import { camelCaseConfig, snakeCaseConfig } from './keys.ts';

/** What is wrong between values that keep their rules, as the beginning of a sentence. */
type Relation = (config: Json) => string | undefined;

/** What the config of one component may hold. */
interface Schema {
  /** Rules by key. */
  rules: Record<string, Kind>;
  relations: Relation[];
}

/** The most blocks on a UNet's way down, where all levels count as the largest; published: 16. */
const BLOCKS = 512;

/** The most patches along a side of the image encoder's input; published: 16. */
const PATCHES = 128;

/** All norms have 32 groups of channels. */
const blockOutChannels = listPerLevel(whole(32, 2 ** 14, 32));

/** The kinds of a model's arguments, by their keys in a config. */
const keyed = (kinds: Readonly<Record<string, Kind>>) =>
  snakeCaseConfig(kinds) as Record<string, Kind>;

/** The lists among some keys have one entry for each down block. */
const sameLengths =
  (...keys: string[]): Relation =>
  ({ down_block_types: down, ...config }) => {
    const lists = keys.filter((key) => Array.isArray(config[key]) && Array.isArray(down));
    const length = (list: unknown) => (list as unknown[]).length;
    const uneven = lists.find((key) => length(config[key]) !== length(down));
    return (
      uneven &&
      `${uneven} is a list of ${length(config[uneven])}, but down_block_types of ${length(down)}`
    );
  };

const fewBlocks: Relation = ({ down_block_types: down, ...config }) => {
  const largest = (value: unknown) => Math.max(...[value ?? 1].flat(2).map(Number));
  const levels = Array.isArray(down) ? down.length : 4;
  const resnets = levels * largest(config.layers_per_block);
  const blocks = resnets * (1 + largest(config.transformer_layers_per_block));
  return blocks > BLOCKS
    ? `layers_per_block and transformer_layers_per_block ask for ${blocks} blocks in all, more ` +
        `than ${BLOCKS}`
    : undefined;
};

const threeTimeIds: Relation = (config) => {
  const { addition_time_embed_dim: each, projection_class_embeddings_input_dim: all } = config;
  return each && all && all !== 3 * Number(each)
    ? `projection_class_embeddings_input_dim is ${all}, not 3 times addition_time_embed_dim, ` +
        `which is ${each}`
    : undefined;
};

const headsOfOneChannel: Relation = ({
  num_attention_heads: heads,
  block_out_channels: widths,
}) => {
  for (const [i, width] of Object.entries((widths ?? []) as number[])) {
    const count = Array.isArray(heads) ? heads[Number(i)] : heads;
    if (count > width)
      return `num_attention_heads is ${count}, more than the ${width} channels of a block`;
  }
  return undefined;
};

const unet: Schema = {
  rules: {
    ...keyed(unetChecks),
    block_out_channels: blockOutChannels,
    num_frames: whole(1, 1024),
  },
  relations: [
    fewBlocks,
    sameLengths('up_block_types', 'block_out_channels', 'layers_per_block', 'cross_attention_dim'),
    sameLengths('transformer_layers_per_block', 'num_attention_heads'),
    threeTimeIds,
    headsOfOneChannel,
  ],
};

const vae: Schema = {
  rules: {
    ...keyed(AutoencoderKLTemporalDecoder.checks),
    ...{ in_channels: oneOf(3), out_channels: oneOf(3), block_out_channels: blockOutChannels },
  },
  relations: [sameLengths('block_out_channels')],
};

const imageEncoder: Schema = {
  rules: { ...keyed(CLIPVisionModelWithProjection.checks), num_channels: oneOf(3) },
  relations: [
    ({ image_size: side, patch_size: patch }) => {
      if (!side || !patch) return undefined;
      const patches = Number(side) / Number(patch);
      return patches < 1 || patches > PATCHES
        ? `patch_size is ${patch}, which does not make 1 to ${PATCHES} patches of image_size ${side}`
        : undefined;
    },
    ({ hidden_size: width, num_attention_heads: heads }) =>
      width && heads && Number(width) % Number(heads) > 0
        ? `hidden_size is ${width}, not divisible by num_attention_heads, which is ${heads}`
        : undefined,
  ],
};

const kindsOfSigmas = ['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'];

const scheduler: Schema = {
  rules: {
    ...keyed(eulerDiscreteTable.rules),
    beta_schedule: oneOf('linear', 'scaled_linear', 'squaredcos_cap_v2'),
    prediction_type: oneOf('epsilon', 'sample', 'original_sample', 'v_prediction'),
    interpolation_type: oneOf('linear', 'log_linear'),
    timestep_spacing: oneOf('linspace', 'leading', 'trailing'),
    timestep_type: oneOf('discrete', 'continuous'),
    final_sigmas_type: oneOf('zero', 'sigma_min'),
  },
  relations: [
    (config) => {
      const chosen = kindsOfSigmas.filter((name) => config[name]);
      return chosen.length > 1
        ? `${chosen.join(' and ')} are true, but only one of them may be`
        : undefined;
    },
    ({ sigma_min: least, sigma_max: most }) =>
      least && most && least > most
        ? `sigma_min is ${least}, more than sigma_max, which is ${most}`
        : undefined,
    edmProblem,
  ],
};

const featureExtractor: Schema = {
  rules: {
    image_mean: listOf(number({ min: -1e3, max: 1e3 }), 3, 3),
    image_std: listOf(number({ above: 0, max: 1e3 }), 3, 3),
  },
  relations: [],
};

/** What the config of each component may hold. */
export const schemas: Record<Component, Schema> = {
  unet,
  vae,
  image_encoder: imageEncoder,
  scheduler,
  feature_extractor: featureExtractor,
};

/** The values of a config that its model is constructed with, by their names in camelCase. */
export function modelConfig(component: Component, config: Json): Json {
  const known = Object.keys(schemas[component].rules).filter((key) => Object.hasOwn(config, key));
  return camelCaseConfig(Object.fromEntries(known.map((key) => [key, config[key]])));
}

/**
 * What is wrong with the config of the UNet next to those of the other models, if anything is, as
 * the beginning of a sentence.
 */
export function misfit({ unet, vae, image_encoder }: Record<Component, Json>): string | undefined {
  const latents = vae.latent_channels as number;
  const contexts = [unet.cross_attention_dim].flat();
  const rows: [key: string, value: unknown, other: string, expected: unknown][] = [
    ['out_channels', unet.out_channels, 'latent_channels of the VAE', latents],
    ['in_channels', unet.in_channels, 'twice latent_channels of the VAE', 2 * latents],
    ...contexts.map((width): (typeof rows)[number] => [
      ...(['cross_attention_dim', width] as const),
      ...(['projection_dim of the image encoder', image_encoder.projection_dim] as const),
    ]),
  ];
  const wrong = rows.find((row) => row.every(Boolean) && row[1] !== row[3]);
  return wrong && `${wrong[0]} is ${wrong[1]}, but ${wrong[2]} is ${wrong[3]}`;
}
