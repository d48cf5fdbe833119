/**
 * Keeps weights in memory only while they are needed, and reads them from the checkpoint each time.
 */
import { type Checkpoint, loadWeights, WeightStream } from '../../checkpoints/browser.ts';
import { passOver } from '../../checkpoints/weights/load.ts';
import type { StepWeights } from '../../layers/index.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import { pathsOf } from '../../memory/shapes/dryRun.ts';
import type { Models } from '../../models/declareModels.ts';
import type { ModelName } from '../../models/names.ts';
import { deviceName, settleDevice } from '../../ops/device.ts';
import type { Offload } from '../components.ts';
import type { LoadOptions } from '../types.ts';
import { componentOf } from './modelConfigs.ts';

/** Frees the weights of all models. Using one is an error then. */
function releaseAll(models: Models): void {
  for (const model of Object.values(models)) model.releaseWeights();
}

/** Reads the weights of one model at a time. */
export function offloadModels(
  { reopen }: Checkpoint,
  models: Models,
  { weightDtype = 'auto' }: Pick<LoadOptions, 'weightDtype'>,
): Offload {
  releaseAll(models);
  return {
    mode: 'model',
    async load(model, signal) {
      const label = componentOf[model];
      await using files = await reopen();
      await loadWeights(models[model], await files.weights(label), {
        ...{ label, weightDtype, signal },
        ignore: passOver,
      });
      return undefined;
    },
    async release(model) {
      models[model].releaseWeights();
      await settleDevice();
    },
  };
}

/** Reads the weights of one block at a time, and the next block's bytes while it computes. */
export function offloadBlocks(
  { reopen }: Checkpoint,
  models: Models,
  { weightDtype = 'auto' }: Pick<LoadOptions, 'weightDtype'>,
): Offload {
  releaseAll(models);
  const orders = blockOrders(models);
  const open = new Map<ModelName, { files: Checkpoint; stream: WeightStream }>();
  return {
    mode: 'sequential',
    async load(model, signal): Promise<StepWeights> {
      signal?.throwIfAborted();
      const files = await reopen();
      try {
        const source = await files.weights(componentOf[model]);
        const stream = new WeightStream(models[model], source, orders[model], weightDtype);
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
 * The paths of the blocks that each computation of a model runs, in order: found by running only
 * its shapes, on the smallest inputs.
 */
function blockOrders({ imageEncoder, unet, vae }: Models): Record<ModelName, string[][]> {
  const order = (steps: Parameters<typeof pathsOf>[1]) => pathsOf(deviceName() as Device, steps);
  const { imageSize, numChannels, projectionDim } = imageEncoder.config;
  const side = 2 ** unet.config.blockOutChannels.length;
  const { inChannels, latentChannels } = vae.config;
  return {
    imageEncoder: [
      order((input) => imageEncoder.steps([input(1, imageSize, imageSize, numChannels)])),
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
