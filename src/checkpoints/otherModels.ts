/** Recognises other kinds of models, so that a refusal can name them. */
import { isPickle } from '../files/firstBytes.ts';
import { quoted } from './errors.ts';

/** Names of weights, what a file with such holds, and names that it then does not have. */
type Rule = [pattern: RegExp, what: string, without?: RegExp];

/** Other models, by names of weights: the first that fits. */
const others: Rule[] = [
  [
    /(^|\.)lora_(up|down|A|B)\.|^lora_|[._]lora\.(up|down)\./,
    'holds a LoRA, which is an addition to a model, not a model.',
  ],
  [/\.motion_modules\./, 'holds the motion module of AnimateDiff.'],
  [/^controlnet_|^control_model\./, 'holds a ControlNet.'],
  [
    /^(model\.diffusion_model\.)?joint_blocks\./,
    'holds Stable Diffusion 3, which makes pictures from text.',
  ],
  [
    /^(model\.diffusion_model\.)?double_blocks\./,
    'holds a transformer such as Flux or HunyuanVideo.',
  ],
  [
    /^(model\.diffusion_model\.)?transformer_blocks\.\d/,
    'holds a diffusion transformer, such as of LTX-Video or CogVideoX.',
  ],
  [/^cond_stage_model\.transformer\./, 'holds Stable Diffusion 1, which makes pictures from text.'],
  [/^cond_stage_model\.model\./, 'holds Stable Diffusion 2, which makes pictures from text.'],
  [/\.temp_(convs|attentions)\./, 'holds ModelScope text-to-video or I2VGen-XL.'],
  [/^conditioner\.embedders\.1\.encoder\./, 'holds SV3D, which turns a camera around an object.'],
  [
    /^conditioner\.embedders\.1\./,
    'holds Stable Diffusion XL, which makes pictures from text.',
    /\.time_stack\./,
  ],
  [
    /^model\.diffusion_model\./,
    'holds a model for pictures: it has no layers over time.',
    /\.time_stack\./,
  ],
];

/** Original files and single components. Stable Video Diffusion fits none. */
const byKeys: Rule[] = [
  ...others,
  [
    /^first_stage_model\.decoder\./,
    'holds Stable Video Diffusion with the image decoder (svd_image_decoder), which decodes each ' +
      'frame by itself and is not loaded yet.',
    /^first_stage_model\.decoder\..*(time_stack|time_mix_conv)\./,
  ],
  [
    /^(unet\.)?down_blocks\..*\.temporal_res_block\.|^input_blocks\..*\.time_stack\./,
    'holds a UNet alone: pass it as `unet` (--unet), beside a whole model.',
  ],
  [
    /^(down|up)_blocks\.|^encoder\.down_blocks\.|^vision_model\./,
    "holds one component in diffusers' naming. Use the folder of the whole model.",
  ],
];

/**
 * The predicate of a sentence that says which model a file with these names of weights holds.
 * Undefined for Stable Video Diffusion in the original naming.
 */
export function familyByKeys(names: string[]): string | undefined {
  const found = firstOf(byKeys, names);
  if (found !== undefined) return found;
  if (names.some((name) => name.startsWith('model.diffusion_model.'))) return undefined;
  return 'is not an original checkpoint of Stable Video Diffusion: it has no model.diffusion_model.';
}

const firstOf = (rules: Rule[], names: string[]): string | undefined =>
  rules.find(
    ([pattern, , without]) =>
      names.some((name) => pattern.test(name)) && !names.some((name) => without?.test(name)),
  )?.[1];

/** The names of the weights of a UNet: what they may start with, and its blocks on the way down. */
const OF_UNET = /^((?:model\.)?diffusion_model\.|unet\.)?(down_blocks|input_blocks)\.\d/;

/** Files that hold no UNet of Stable Video Diffusion. */
const notUnets: Rule[] = [
  ...others,
  [
    OF_UNET,
    'holds a UNet for pictures: it has no layers over time.',
    /\.(time_stack|temporal_res_block)\./,
  ],
  [/^text_model\.|^cond_stage_model\./, 'holds a text encoder, not a UNet.', OF_UNET],
  [/^vision_model\.|^visual_projection\./, 'holds an image encoder, not a UNet.', OF_UNET],
  [
    /^(vae\.|first_stage_model\.)?((post_)?quant_conv|(encoder|decoder)\.(conv_in|mid))/,
    'holds a VAE, not a UNet.',
    OF_UNET,
  ],
];

/** How the weights of a UNet are named. */
export interface UnetNaming {
  /** What all names start with. */
  start: string;
  /** Whether the names are those of Stability AI's code. */
  original: boolean;
}

/**
 * How the weights of a UNet are named in a file with these names, which may hold other models
 * beside it.
 * @returns Or the predicate of a sentence that says what the file holds, if that is none of Stable
 * Video Diffusion.
 */
export function unetNaming(names: string[]): UnetNaming | string {
  const other = firstOf(notUnets, names);
  if (other !== undefined) return other;
  const [, start = '', blocks] = names.map((name) => OF_UNET.exec(name)).find(Boolean) ?? [];
  if (blocks !== undefined) return { start, original: blocks === 'input_blocks' };
  return 'holds no UNet: none of its tensors is in down_blocks or input_blocks.';
}

/** Other pipelines of diffusers by their classes. */
const byPipeline: [pattern: RegExp, what: string][] = [
  [/^StableDiffusion3/, 'Stable Diffusion 3, which makes pictures from text'],
  [/^StableDiffusionXL/, 'Stable Diffusion XL, which makes pictures from text'],
  [/^StableDiffusion/, 'Stable Diffusion 1 or 2, which makes pictures from text'],
  [/^Flux/, 'Flux, which makes pictures from text'],
  [/^AnimateDiff/, 'AnimateDiff, which makes videos from text'],
  [/^TextToVideo|^VideoToVideo/, 'ModelScope text-to-video'],
  [/^I2VGenXL/, 'I2VGen-XL'],
  [
    /^(CogVideoX|LTX|Wan|HunyuanVideo|Mochi|Allegro|Latte)/,
    'a video model with a diffusion transformer',
  ],
];

/** The model that a pipeline class is for, if that is known. */
export const familyByPipeline = (className: unknown): string | undefined =>
  byPipeline.find(([pattern]) => typeof className === 'string' && pattern.test(className))?.[1];

/** Other models by the types of their blocks. */
const byBlock: [pattern: RegExp, what: string][] = [
  [/Motion$/, 'AnimateDiff'],
  [/Block3D$/, 'ModelScope text-to-video or I2VGen-XL'],
  [/Block2D$/, 'a model for pictures, such as Stable Diffusion'],
];

/** The model that a UNet with these block types belongs to, unless it is Stable Video Diffusion. */
export function familyByBlocks(types: readonly unknown[]): string | undefined {
  const other = types
    .filter((type) => typeof type === 'string')
    .find((type) => !/^(CrossAttn)?(Down|Up)BlockSpatioTemporal$/.test(type));
  if (other === undefined) return undefined;
  const what = byBlock.find(([pattern]) => pattern.test(other))?.[1];
  const where = what ? `as in ${what}` : 'which Stable Video Diffusion does not have';
  return `its blocks are of the type ${quoted(other)}, ${where}`;
}

/** Why files that hold pickled Python objects are not read, and the way out. */
export const pickleRefusal = (path: string): string => `${path} ${isPickle}.`;
