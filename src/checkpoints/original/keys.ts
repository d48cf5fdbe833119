/**
 * Names of weights in the original single-file checkpoints (`svd_xt.safetensors` and its like), by
 * their names in diffusers. One table of rules serves both directions: a model knows its names in
 * diffusers.
 */

import type { WeightedComponent } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';

/** The sizes that the numbers in original names depend on. */
export interface OriginalLayout {
  /**
   * Residual blocks of each level of the UNet, on the way down; there is one more on the way up.
   */
  layersPerBlock: number[];
  /** Whether each level of the UNet has attention on the way up. */
  attentionUp: boolean[];
  /** Levels of the VAE. */
  vaeLevels: number;
}

/** A place of a weight in an original file. */
export interface OriginalPlace {
  /** Its name there. */
  name: string;
  /** It is this third of the rows: queries, keys and values are one tensor there. */
  third?: 0 | 1 | 2;
  /** Its two axes are transposed there. */
  transposed?: boolean;
  /** It is a linear map here and a convolution of size 1 there. */
  asConvolution?: boolean;
}

type Name = (match: string[], layout: OriginalLayout) => string;

/**
 * Names in diffusers, in which `#` stands for a number, `*` for a word and `**` for all the rest,
 * and their names in the original, in which `$1` is the first of these.
 */
type Rule = [pattern: string, original: string | Name, more?: Omit<OriginalPlace, 'name'>];

/** The VAE that encodes the conditioning picture. */
const ENCODER = 'conditioner.embedders.3.encoder.';
/** The VAE that decodes, with a copy of the encoder that has no `quant_conv`. */
const FIRST_STAGE = 'first_stage_model.';
const DECODER = `${FIRST_STAGE}decoder.`;
/** What all original names of a component start with. */
const prefixes: Record<WeightedComponent, string> = {
  unet: 'model.diffusion_model.',
  vae: '',
  image_encoder: 'conditioner.embedders.0.open_clip.model.visual.',
};

/** Names of the parts of a residual block. */
const residual: Record<string, string> = {
  norm1: 'in_layers.0',
  conv1: 'in_layers.2',
  time_emb_proj: 'emb_layers.1',
  norm2: 'out_layers.0',
  conv2: 'out_layers.3',
  conv_shortcut: 'skip_connection',
};

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/**
 * The number of a level's first block: on the way down a level has its resnets and a downsampler,
 * on the way up a resnet more.
 */
const firstBlock = ({ layersPerBlock }: OriginalLayout, level: number) =>
  sum(layersPerBlock.slice(0, level).map((layers) => layers + 1));
const firstUp = (layout: OriginalLayout, level: number) =>
  firstBlock({ ...layout, layersPerBlock: [...layout.layersPerBlock].reverse() }, level);

/** The block that holds layer `j` of level `i` on the way down, and on the way up. */
const inputBlock = (layout: OriginalLayout, i: string, j: string) =>
  `input_blocks.${1 + firstBlock(layout, Number(i)) + Number(j)}`;
const outputBlock = (layout: OriginalLayout, i: string, j: string) =>
  `output_blocks.${firstUp(layout, Number(i)) + Number(j)}`;

function unetResnet(rest: string): string {
  const [, temporal, part, leaf] = /^(spatial|temporal)_res_block\.(\w+)\.(\w+)$/.exec(rest) ?? [];
  return part === undefined
    ? rest
    : `${temporal === 'temporal' ? 'time_stack.' : ''}${residual[part]}.${leaf}`;
}

function unetAttention(rest: string): string {
  return rest
    .replace(/^temporal_transformer_blocks\./, 'time_stack.')
    .replace(
      /^time_pos_embed\.linear_([12])/,
      (_, number) => `time_pos_embed.${2 * Number(number) - 2}`,
    );
}

function vaeResnet(rest: string): string {
  const temporal = /^temporal_res_block\.(\w+)\.(\w+)$/.exec(rest);
  if (temporal) return `time_stack.${residual[temporal[1]]}.${temporal[2]}`;
  return rest
    .replace(/^spatial_res_block\./, '')
    .replace(/^conv_shortcut/, 'nin_shortcut')
    .replace(/^time_mixer\./, '');
}

/** Names of the parts of the attention in the VAE. */
const attention = {
  group_norm: 'norm',
  to_q: 'q',
  to_k: 'k',
  to_v: 'v',
  'to_out.0': 'proj_out',
};

const vaeSide = (side: 'encoder' | 'decoder', prefix: string): Rule[] => [
  [
    `${side}.mid_block.resnets.#.**`,
    ([, j, rest]) => `${prefix}mid.block_${Number(j) + 1}.${vaeResnet(rest)}`,
  ],
  ...Object.entries(attention).flatMap(([part, original]): Rule[] => {
    const [here, there] = [
      `${side}.mid_block.attentions.0.${part}`,
      `${prefix}mid.attn_1.${original}`,
    ];
    const weight: Rule = [`${here}.weight`, `${there}.weight`, { asConvolution: true }];
    return [...(part === 'group_norm' ? [] : [weight]), [`${here}.*`, `${there}.$1`]];
  }),
  [`${side}.conv_norm_out.*`, `${prefix}norm_out.$1`],
  [`${side}.conv_in.*`, `${prefix}conv_in.$1`],
  [`${side}.conv_out.*`, `${prefix}conv_out.$1`],
];

const LAYER = 'vision_model.encoder.layers.#.';
const BLOCK = `transformer.resblocks.$1.`;

const rules: Record<WeightedComponent, Rule[]> = {
  unet: [
    ['conv_in.*', `input_blocks.0.0.$1`],
    ['time_embedding.linear_1.*', `time_embed.0.$1`],
    ['time_embedding.linear_2.*', `time_embed.2.$1`],
    ['add_embedding.linear_1.*', `label_emb.0.0.$1`],
    ['add_embedding.linear_2.*', `label_emb.0.2.$1`],
    ['conv_norm_out.*', `out.0.$1`],
    ['conv_out.*', `out.2.$1`],
    [
      'mid_block.resnets.#.**',
      ([, j, rest]) => `middle_block.${2 * Number(j)}.${unetResnet(rest)}`,
    ],
    ['mid_block.attentions.0.**', ([, rest]) => `middle_block.1.${unetAttention(rest)}`],
    [
      'down_blocks.#.resnets.#.**',
      ([, i, j, rest], layout) => `${inputBlock(layout, i, j)}.0.${unetResnet(rest)}`,
    ],
    [
      'down_blocks.#.attentions.#.**',
      ([, i, j, rest], layout) => `${inputBlock(layout, i, j)}.1.${unetAttention(rest)}`,
    ],
    [
      'down_blocks.#.downsamplers.0.conv.*',
      ([, i, leaf], layout) => `input_blocks.${firstBlock(layout, Number(i) + 1)}.0.op.${leaf}`,
    ],
    [
      'up_blocks.#.resnets.#.**',
      ([, i, j, rest], layout) => `${outputBlock(layout, i, j)}.0.${unetResnet(rest)}`,
    ],
    [
      'up_blocks.#.attentions.#.**',
      ([, i, j, rest], layout) => `${outputBlock(layout, i, j)}.1.${unetAttention(rest)}`,
    ],
    [
      'up_blocks.#.upsamplers.0.conv.*',
      ([, i, leaf], layout) => {
        const place = layout.attentionUp[Number(i)] ? 2 : 1; // behind the attention, if it has one
        return `output_blocks.${firstUp(layout, Number(i) + 1) - 1}.${place}.conv.${leaf}`;
      },
    ],
  ],
  vae: [
    ...vaeSide('encoder', `${ENCODER}encoder.`),
    ...vaeSide('decoder', DECODER),
    [
      'encoder.down_blocks.#.resnets.#.**',
      ([, i, j, rest]) => `${ENCODER}encoder.down.${i}.block.${j}.${vaeResnet(rest)}`,
    ],
    ['encoder.down_blocks.#.downsamplers.0.conv.*', `${ENCODER}encoder.down.$1.downsample.conv.$2`],
    [
      'decoder.up_blocks.#.resnets.#.**',
      ([, i, j, rest], { vaeLevels }) =>
        `${DECODER}up.${vaeLevels - 1 - Number(i)}.block.${j}.${vaeResnet(rest)}`,
    ],
    [
      'decoder.up_blocks.#.upsamplers.0.conv.*',
      ([, i, leaf], { vaeLevels }) =>
        `${DECODER}up.${vaeLevels - 1 - Number(i)}.upsample.conv.${leaf}`,
    ],
    ['decoder.time_conv_out.*', `${DECODER}conv_out.time_mix_conv.$1`],
    ['quant_conv.*', `${ENCODER}quant_conv.$1`],
  ],
  image_encoder: [
    ['vision_model.embeddings.class_embedding', `class_embedding`],
    ['vision_model.embeddings.patch_embedding.weight', `conv1.weight`],
    ['vision_model.embeddings.position_embedding.weight', `positional_embedding`],
    ['vision_model.pre_layrnorm.*', `ln_pre.$1`],
    ['vision_model.post_layernorm.*', `ln_post.$1`],
    ['visual_projection.weight', `proj`, { transposed: true }],
    [`${LAYER}self_attn.q_proj.*`, `${BLOCK}attn.in_proj_$2`, { third: 0 }],
    [`${LAYER}self_attn.k_proj.*`, `${BLOCK}attn.in_proj_$2`, { third: 1 }],
    [`${LAYER}self_attn.v_proj.*`, `${BLOCK}attn.in_proj_$2`, { third: 2 }],
    [`${LAYER}self_attn.out_proj.*`, `${BLOCK}attn.out_proj.$2`],
    [`${LAYER}layer_norm1.*`, `${BLOCK}ln_1.$2`],
    [`${LAYER}layer_norm2.*`, `${BLOCK}ln_2.$2`],
    [`${LAYER}mlp.fc1.*`, `${BLOCK}mlp.c_fc.$2`],
    [`${LAYER}mlp.fc2.*`, `${BLOCK}mlp.c_proj.$2`],
  ],
};

const wildcards: Record<string, string> = {
  '.': '\\.',
  '#': '(\\d+)',
  '*': '(\\w+)',
  '**': '(.+)',
};
const compile = (pattern: string) =>
  new RegExp(`^${pattern.replace(/\*\*|[.#*]/g, (found) => wildcards[found])}$`);
const patterns = new Map(
  Object.values(rules)
    .flat()
    .map(([pattern]) => [pattern, compile(pattern)]),
);

/** The layout of a model with these JSON configs. */
export function originalLayout(
  unet: Record<string, unknown>,
  vae: Record<string, unknown>,
): OriginalLayout {
  const up = (unet.up_block_types ?? []) as string[];
  const layers = unet.layers_per_block ?? 2;
  return {
    layersPerBlock: Array.isArray(layers) ? (layers as number[]) : up.map(() => layers as number),
    attentionUp: up.map((type) => type.startsWith('CrossAttn')),
    vaeLevels: ((vae.block_out_channels ?? [64]) as number[]).length,
  };
}

/**
 * The places of the weight `key` of a component: that in the published files, then those in files
 * of other programs.
 * @throws CheckpointError if no Stable Video Diffusion model has such a weight.
 */
export function originalPlaces(
  component: WeightedComponent,
  key: string,
  layout: OriginalLayout,
): [OriginalPlace, ...OriginalPlace[]] {
  const prefix = prefixes[component];
  for (const [pattern, original, more] of rules[component]) {
    const match = patterns.get(pattern)!.exec(key);
    if (match === null) continue;
    const rest =
      typeof original === 'string'
        ? original.replace(/\$(\d)/g, (_, place) => match[place])
        : original(match, layout);
    const name = prefix + rest;
    // ComfyUI saves the image encoder with the names of transformers.
    if (component === 'image_encoder') return [{ name, ...more }, { name: prefix + key }];
    // ComfyUI saves only the encoder beside the decoder. Conversions by others put the last
    // convolution over time beside the one that it follows.
    const other = isInEncoder(name)
      ? encoderCopy(name)
      : name.replace('.conv_out.time_mix_conv.', '.time_mix_conv.');
    return other === name
      ? [{ name, ...more }]
      : [
          { name, ...more },
          { name: other, ...more },
        ];
  }
  throw new CheckpointError(`The original files have no place for ${quoted(key)} of ${component}.`);
}

/** Whether an original name is that of a weight of the VAE that encodes. */
export const isInEncoder = (name: string): boolean => name.startsWith(ENCODER);

/** The name of the same weight in the copy of the encoder that the decoder has beside it. */
export const encoderCopy = (name: string): string => FIRST_STAGE + name.slice(ENCODER.length);
