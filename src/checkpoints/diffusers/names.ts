/** Which files a Stable Video Diffusion model in diffusers' folder layout is made of. */
import { schedulerClassNames } from '../../schedulers/names.ts';
import { hasEnding } from '../../text/endings.ts';

/**
 * Each component, the classes it may be of, its config file, and what its weight files are called.
 */
export const components = {
  unet: {
    classes: ['UNetSpatioTemporalConditionModel'],
    config: 'config.json',
    weights: 'diffusion_pytorch_model',
  },
  vae: {
    classes: ['AutoencoderKLTemporalDecoder'],
    config: 'config.json',
    weights: 'diffusion_pytorch_model',
  },
  image_encoder: {
    classes: ['CLIPVisionModelWithProjection'],
    config: 'config.json',
    weights: 'model',
  },
  scheduler: { classes: schedulerClassNames, config: 'scheduler_config.json' },
  // All of these normalise pictures alike, which is all that the pipeline uses of them.
  feature_extractor: {
    classes: [
      'CLIPImageProcessor',
      'CLIPImageProcessorPil',
      'CLIPImageProcessorFast',
      'CLIPFeatureExtractor',
    ],
    config: 'preprocessor_config.json',
  },
} as const;

/** A component by its name in diffusers, which is also its folder. */
export type Component = keyof typeof components;
/** A component that has weights. */
export type WeightedComponent = 'unet' | 'vae' | 'image_encoder';

export const componentNames = Object.keys(components) as Component[];
export const weightedComponents: WeightedComponent[] = ['unet', 'vae', 'image_encoder'];

/** The paths of all configs within a model's folder. */
export const configFiles = [
  'model_index.json',
  ...componentNames.map((name) => `${name}/${components[name].config}`),
];

/**
 * The names that a component's weights of a variant may have: one file, or the index of several.
 */
export function weightFileNames(
  component: WeightedComponent,
  variant?: string,
): { single: string; index: string } {
  const stem = components[component].weights;
  return variant === undefined
    ? { single: `${stem}.safetensors`, index: `${stem}.safetensors.index.json` }
    : {
        single: `${stem}.${variant}.safetensors`,
        index: `${stem}.safetensors.index.${variant}.json`,
      };
}

/** The name of a component's weights, and of how they are used, as a TensorFlow.js artifact. */
export const TFJS = 'model.json';

/** The one of `names` that holds a component's weights of a variant, or is their index. */
export function weightFileAmong(
  names: readonly string[],
  component: WeightedComponent,
  variant?: string,
): string | undefined {
  const { single, index } = weightFileNames(component, variant);
  const candidates = variant === undefined ? [single, index, TFJS] : [single, index];
  return candidates.find((name) => names.includes(name));
}

/** The variants that a component's weight files are there of; `none` for files without one. */
export function variantsAmong(names: readonly string[], component: WeightedComponent): string[] {
  const stem = components[component].weights;
  const variants = new Set<string>();
  for (const name of names) {
    const match =
      /^\.(?:(?<single>[^.]+)\.)?safetensors$|^\.safetensors\.index\.(?:(?<sharded>[^.]+)\.)?json$/.exec(
        name.slice(stem.length),
      );
    if (!name.startsWith(stem) || match === null) continue;
    const variant = match.groups?.single ?? match.groups?.sharded ?? 'none';
    if (!/-\d+-of-\d+$/.test(variant)) variants.add(variant); // a shard of a variant
  }
  return [...variants].sort();
}

/** The endings of files that PyTorch's `torch.load` reads. */
export const PICKLES = ['.bin', '.ckpt', '.pt', '.pth'];

/** Whether a path is that of one file with a whole model, by its ending. */
export const isSingleFile = (path: string): boolean => hasEnding(path, '.safetensors', ...PICKLES);

/** Whether `name` is that of a file in the same folder, and no path. */
export const isFileName = (name: unknown): name is string =>
  typeof name === 'string' && !/^\.{0,2}$|[/\\\p{Cc}]/u.test(name);
