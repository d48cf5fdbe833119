/**
 * Weights that are in memory only while they are needed, read anew from the folder of the pipeline
 * each time.
 */
import type * as tf from '@tensorflow/tfjs';
import {
  type Checkpoint,
  type LoadWeightsOptions,
  loadWeights,
  WeightStream,
} from '../../checkpoints/index.ts';
import type { Steps, StepWeights } from '../../layers/index.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import { dryRun } from '../../memory/shapes/dryRun.ts';
import type {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../models/index.ts';
import type { ModelName } from '../../models/names.ts';
import { deviceName } from '../../ops/device.ts';
import type { Offload } from '../components.ts';

/** The models by the names of their folders. */
export interface Models {
  image_encoder: CLIPVisionModelWithProjection;
  unet: UNetSpatioTemporalConditionModel;
  vae: AutoencoderKLTemporalDecoder;
}

type Options = Pick<LoadWeightsOptions, 'weightDtype'>;

const folderOf = (model: ModelName) => (model === 'imageEncoder' ? 'image_encoder' : model);

/** Frees the weights of all models, and says so if one is used. */
function releaseAll(models: Models): void {
  for (const model of Object.values(models)) model.releaseWeights();
}

/** Reads the weights of one model at a time. */
export function offloadModels(
  { reopen }: Checkpoint,
  models: Models,
  { weightDtype = 'auto' }: Options,
): Offload {
  releaseAll(models);
  return {
    mode: 'model',
    async load(model, signal) {
      const label = folderOf(model);
      const files = await reopen();
      try {
        await loadWeights(models[label], await files.weights(label), {
          label,
          weightDtype,
          signal,
        });
      } finally {
        await files.close();
      }
      return undefined;
    },
    release: async (model) => models[folderOf(model)].releaseWeights(),
  };
}

/** Reads the weights of one block at a time, and the next block's bytes while it computes. */
export function offloadBlocks(
  { reopen }: Checkpoint,
  models: Models,
  { weightDtype = 'auto' }: Options,
): Offload {
  releaseAll(models);
  const orders = blockOrders(models);
  const open = new Map<ModelName, { files: Checkpoint; stream: WeightStream }>();
  return {
    mode: 'sequential',
    async load(model, signal): Promise<StepWeights> {
      signal?.throwIfAborted();
      const label = folderOf(model);
      const files = await reopen();
      try {
        const stream = new WeightStream(
          models[label],
          await files.weights(label),
          orders[label],
          weightDtype,
        );
        open.set(model, { files, stream });
        return stream;
      } catch (error) {
        await files.close();
        throw error;
      }
    },
    async release(model) {
      const opened = open.get(model);
      open.delete(model);
      await opened?.stream.close();
      await opened?.files.close();
    },
  };
}

/**
 * The paths of the blocks that each computation of a model runs, in order: found by running it by
 * shape alone, on inputs as small as can be.
 */
function blockOrders({ image_encoder, unet, vae }: Models): Record<keyof Models, string[][]> {
  const order = (steps: (input: (...shape: number[]) => tf.Tensor) => Steps<unknown>) => {
    const paths: string[] = [];
    dryRun(deviceName() as Device, (input) => {
      for (const path of steps(input)) paths.push(path);
    });
    return paths;
  };
  const { imageSize, numChannels, projectionDim } = image_encoder.config;
  const side = 2 ** unet.config.blockOutChannels.length;
  const { inChannels, latentChannels } = vae.config;
  return {
    image_encoder: [
      order((input) => image_encoder.steps([input(1, imageSize, imageSize, numChannels)])),
    ],
    unet: [
      order((input) =>
        unet.steps(
          [
            input(1, side, side, unet.config.inChannels),
            input(1),
            input(1, 1, projectionDim),
            input(1, 3),
          ],
          { numFrames: 1 },
        ),
      ),
    ],
    vae: [
      order((input) =>
        vae.encodeSteps(input(1, 2 * vae.scaleFactor, 2 * vae.scaleFactor, inChannels)),
      ),
      order((input) => vae.decodeSteps(input(1, 2, 2, latentChannels), 1)),
    ],
  };
}
