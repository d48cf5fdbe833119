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

/** The place of a weight in an original file. */
export interface OriginalPlace {
  /** Its name there; a second one if files differ. */
  names: string[];
  /** It is this third of the rows: queries, keys and values are one tensor there. */
  third?: 0 | 1 | 2;
  /** Its two axes are transposed there. */
  transposed?: boolean;
  /** It is a linear map here and a convolution of size 1 there. */
  asConvolution?: boolean;
}

type Rule = [
  pattern: RegExp,
  original: string | ((match: string[], layout: OriginalLayout) => string),
  more?: Omit<OriginalPlace, 'names'>,
];

const UNET = 'model.diffusion_model.';
const ENCODER = 'conditioner.embedders.3.encoder.';
const DECODER = 'first_stage_model.decoder.';
const VISION = 'conditioner.embedders.0.open_clip.model.visual.';

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

/** The number of the block that holds layer `j` of level `i` on the way down. */
const inputBlock = (layout: OriginalLayout, i: string, j: string) =>
  1 + firstBlock(layout, Number(i)) + Number(j);

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

const attentionNames: Record<string, string> = {
  group_norm: 'norm',
  to_q: 'q',
  to_k: 'k',
  to_v: 'v',
  'to_out.0': 'proj_out',
};
const mlpNames: Record<string, string> = { fc1: 'c_fc', fc2: 'c_proj' };

const vaeSide = (side: 'encoder' | 'decoder', prefix: string): Rule[] => [
  [
    new RegExp(`^${side}\\.mid_block\\.resnets\\.(\\d+)\\.(.+)$`),
    ([, j, rest]) => `${prefix}mid.block_${Number(j) + 1}.${vaeResnet(rest)}`,
  ],
  [
    new RegExp(`^${side}\\.mid_block\\.attentions\\.0\\.(to_q|to_k|to_v|to_out\\.0)\\.weight$`),
    ([, part]) => `${prefix}mid.attn_1.${attentionNames[part]}.weight`,
    { asConvolution: true },
  ],
  [
    new RegExp(
      `^${side}\\.mid_block\\.attentions\\.0\\.(group_norm|to_q|to_k|to_v|to_out\\.0)\\.(\\w+)$`,
    ),
    ([, part, leaf]) => `${prefix}mid.attn_1.${attentionNames[part]}.${leaf}`,
  ],
  [new RegExp(`^${side}\\.conv_norm_out\\.(\\w+)$`), ([, leaf]) => `${prefix}norm_out.${leaf}`],
  [
    new RegExp(`^${side}\\.(conv_in|conv_out)\\.(\\w+)$`),
    ([, part, leaf]) => `${prefix}${part}.${leaf}`,
  ],
];

const rules: Record<WeightedComponent, Rule[]> = {
  unet: [
    [/^conv_in\.(\w+)$/, ([, leaf]) => `${UNET}input_blocks.0.0.${leaf}`],
    [
      /^time_embedding\.linear_([12])\.(\w+)$/,
      ([, number, leaf]) => `${UNET}time_embed.${2 * Number(number) - 2}.${leaf}`,
    ],
    [
      /^add_embedding\.linear_([12])\.(\w+)$/,
      ([, number, leaf]) => `${UNET}label_emb.0.${2 * Number(number) - 2}.${leaf}`,
    ],
    [/^conv_norm_out\.(\w+)$/, ([, leaf]) => `${UNET}out.0.${leaf}`],
    [/^conv_out\.(\w+)$/, ([, leaf]) => `${UNET}out.2.${leaf}`],
    [
      /^mid_block\.resnets\.([01])\.(.+)$/,
      ([, j, rest]) => `${UNET}middle_block.${2 * Number(j)}.${unetResnet(rest)}`,
    ],
    [
      /^mid_block\.attentions\.0\.(.+)$/,
      ([, rest]) => `${UNET}middle_block.1.${unetAttention(rest)}`,
    ],
    [
      /^down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/,
      ([, i, j, rest], layout) =>
        `${UNET}input_blocks.${inputBlock(layout, i, j)}.0.${unetResnet(rest)}`,
    ],
    [
      /^down_blocks\.(\d+)\.attentions\.(\d+)\.(.+)$/,
      ([, i, j, rest], layout) =>
        `${UNET}input_blocks.${inputBlock(layout, i, j)}.1.${unetAttention(rest)}`,
    ],
    [
      /^down_blocks\.(\d+)\.downsamplers\.0\.conv\.(\w+)$/,
      ([, i, leaf], layout) =>
        `${UNET}input_blocks.${firstBlock(layout, Number(i) + 1)}.0.op.${leaf}`,
    ],
    [
      /^up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/,
      ([, i, j, rest], layout) =>
        `${UNET}output_blocks.${firstUp(layout, Number(i)) + Number(j)}.0.${unetResnet(rest)}`,
    ],
    [
      /^up_blocks\.(\d+)\.attentions\.(\d+)\.(.+)$/,
      ([, i, j, rest], layout) =>
        `${UNET}output_blocks.${firstUp(layout, Number(i)) + Number(j)}.1.${unetAttention(rest)}`,
    ],
    [
      /^up_blocks\.(\d+)\.upsamplers\.0\.conv\.(\w+)$/,
      ([, i, leaf], layout) => {
        const place = layout.attentionUp[Number(i)] ? 2 : 1; // behind the attention, if it has one
        return `${UNET}output_blocks.${firstUp(layout, Number(i) + 1) - 1}.${place}.conv.${leaf}`;
      },
    ],
  ],
  vae: [
    ...vaeSide('encoder', `${ENCODER}encoder.`),
    ...vaeSide('decoder', DECODER),
    [
      /^encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/,
      ([, i, j, rest]) => `${ENCODER}encoder.down.${i}.block.${j}.${vaeResnet(rest)}`,
    ],
    [
      /^encoder\.down_blocks\.(\d+)\.downsamplers\.0\.conv\.(\w+)$/,
      ([, i, leaf]) => `${ENCODER}encoder.down.${i}.downsample.conv.${leaf}`,
    ],
    [
      /^decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/,
      ([, i, j, rest], { vaeLevels }) =>
        `${DECODER}up.${vaeLevels - 1 - Number(i)}.block.${j}.${vaeResnet(rest)}`,
    ],
    [
      /^decoder\.up_blocks\.(\d+)\.upsamplers\.0\.conv\.(\w+)$/,
      ([, i, leaf], { vaeLevels }) =>
        `${DECODER}up.${vaeLevels - 1 - Number(i)}.upsample.conv.${leaf}`,
    ],
    [/^decoder\.time_conv_out\.(\w+)$/, ([, leaf]) => `${DECODER}conv_out.time_mix_conv.${leaf}`],
    [/^quant_conv\.(\w+)$/, ([, leaf]) => `${ENCODER}quant_conv.${leaf}`],
  ],
  image_encoder: [
    [/^vision_model\.embeddings\.class_embedding$/, `${VISION}class_embedding`],
    [/^vision_model\.embeddings\.patch_embedding\.weight$/, `${VISION}conv1.weight`],
    [/^vision_model\.embeddings\.position_embedding\.weight$/, `${VISION}positional_embedding`],
    [/^vision_model\.pre_layrnorm\.(\w+)$/, ([, leaf]) => `${VISION}ln_pre.${leaf}`],
    [/^vision_model\.post_layernorm\.(\w+)$/, ([, leaf]) => `${VISION}ln_post.${leaf}`],
    [/^visual_projection\.weight$/, `${VISION}proj`, { transposed: true }],
    ...(['q', 'k', 'v'] as const).map(
      (letter, third): Rule => [
        new RegExp(
          `^vision_model\\.encoder\\.layers\\.(\\d+)\\.self_attn\\.${letter}_proj\\.(\\w+)$`,
        ),
        ([, i, leaf]) => `${VISION}transformer.resblocks.${i}.attn.in_proj_${leaf}`,
        { third: third as 0 | 1 | 2 },
      ],
    ),
    [
      /^vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.(\w+)$/,
      ([, i, leaf]) => `${VISION}transformer.resblocks.${i}.attn.out_proj.${leaf}`,
    ],
    [
      /^vision_model\.encoder\.layers\.(\d+)\.layer_norm([12])\.(\w+)$/,
      ([, i, number, leaf]) => `${VISION}transformer.resblocks.${i}.ln_${number}.${leaf}`,
    ],
    [
      /^vision_model\.encoder\.layers\.(\d+)\.mlp\.(fc1|fc2)\.(\w+)$/,
      ([, i, part, leaf]) => `${VISION}transformer.resblocks.${i}.mlp.${mlpNames[part]}.${leaf}`,
    ],
  ],
};

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
 * The place of the weight `key` of a component in an original file.
 * @throws CheckpointError if no Stable Video Diffusion model has such a weight.
 */
export function originalPlace(
  component: WeightedComponent,
  key: string,
  layout: OriginalLayout,
): OriginalPlace {
  for (const [pattern, original, more] of rules[component]) {
    const match = pattern.exec(key);
    if (match === null) continue;
    const name = typeof original === 'string' ? original : original(match, layout);
    // Conversions by others put the last convolution over time beside the one that it follows.
    const other = name.replace('.conv_out.time_mix_conv.', '.time_mix_conv.');
    return { names: other === name ? [name] : [name, other], ...more };
  }
  throw new CheckpointError(`The original files have no place for ${quoted(key)} of ${component}.`);
}
