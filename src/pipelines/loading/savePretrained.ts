/** Writes a pipeline's components in diffusers' layout. */
import {
  blockTensors,
  type Checkpoint,
  CheckpointError,
  publishedConfigs,
  type SavedDtype,
  savedDtypes,
  snakeCaseConfig,
  type TensorToWrite,
  tensorsOf,
  type WeightedComponent,
  writeModelFolder,
} from '../../checkpoints/index.ts';
import type { AnyBlock } from '../../layers/index.ts';
import type { Scheduler } from '../../schedulers/index.ts';
import { wrongValue } from '../../text/kinds.ts';
import { type Kinds, kinds } from '../../text/options.ts';
import type { Components } from '../components.ts';

/** Options of `savePretrained`. */
export interface SaveOptions {
  /**
   * The type to store weights in. Default `float32`, as diffusers stores what it has loaded without
   * `torch_dtype`.
   */
  dtype?: SavedDtype;
  /** Most bytes of a weight file. Default 10 GB. */
  maxShardSize?: number;
  /** A word in the names of the weight files, such as `fp16`. */
  variant?: string;
  /** Stops the writing. */
  signal?: AbortSignal;
}

/** The options of `savePretrained`. `dtype` is checked with the types that can be stored. */
export const saveOptionKinds: Kinds<SaveOptions> = {
  dtype: kinds.text,
  maxShardSize: kinds.positive,
  variant: kinds.text,
  signal: kinds.signal,
};

/**
 * Writes all components. Weights that are not in memory are read from the checkpoint of `reopen`.
 */
export async function saveComponents(
  { unet, vae, imageEncoder, scheduler, featureExtractor, offload }: Components,
  folder: string,
  { dtype = 'float32', maxShardSize, variant, signal }: SaveOptions,
  reopen?: Checkpoint['reopen'],
): Promise<void> {
  const wrong = wrongValue('dtype', dtype, { oneOf: Object.keys(savedDtypes) });
  if (wrong) throw new CheckpointError(wrong);
  const models: Record<WeightedComponent, AnyBlock> = { unet, vae, image_encoder: imageEncoder };
  const { index, configs } = publishedConfigs(unet.config.numFrames);
  const { imageSize } = imageEncoder.config;
  const [size, side] = [{ height: imageSize, width: imageSize }, { shortest_edge: imageSize }];
  const written = {
    unet: { _class_name: 'UNetSpatioTemporalConditionModel', ...snakeCaseConfig(unet.config) },
    vae: { _class_name: 'AutoencoderKLTemporalDecoder', ...snakeCaseConfig(vae.config) },
    image_encoder: {
      architectures: ['CLIPVisionModelWithProjection'],
      model_type: 'clip_vision_model',
      ...snakeCaseConfig(imageEncoder.config),
    },
    scheduler: scheduler.toConfig(),
    feature_extractor: {
      ...configs.feature_extractor,
      ...{
        image_mean: featureExtractor.imageMean,
        image_std: featureExtractor.imageStd,
        crop_size: size,
        size: side,
      },
    },
  };
  await using files = offload ? await reopen?.() : undefined;
  const tensors: Partial<Record<WeightedComponent, Record<string, TensorToWrite>>> = {};
  for (const [component, model] of Object.entries(models) as [WeightedComponent, AnyBlock][]) {
    tensors[component] = files
      ? tensorsOf(
          { source: await files.weights(component), parameters: model.parameters() },
          savedDtypes[dtype],
        )
      : blockTensors(model, savedDtypes[dtype]);
  }
  const weights = tensors as Required<typeof tensors>;
  await writeModelFolder(
    folder,
    { index: { ...index, scheduler: classEntry(scheduler) }, configs: written, weights },
    { variant, maxShardSize, signal },
  );
}

/** The class of a scheduler, and the Python module that has it, for `model_index.json`. */
const classEntry = ({ className }: Scheduler) => [
  className.startsWith('AnimateLCM') ? 'animatelcm_scheduler' : 'diffusers',
  className,
];
