/** What the down, middle and up blocks of the UNet share. */

import { count, oneOrList } from '../text/kinds.ts';
import type { FramesArgs } from './block.ts';
import { type Checks, epsilon, indivisible, layerCount, layerCountOrNone } from './checks.ts';
import { TransformerSpatioTemporalModel } from './transformerSpatioTemporalModel.ts';

/** Arguments of every block of the UNet. */
export interface UNetBlockArgs extends FramesArgs {
  /** Width of the time embedding. */
  tembChannels: number;
  /** Default 1. */
  numLayers?: number;
}

/** Arguments of the UNet's blocks that have transformers. */
export interface TransformersArgs {
  /** Layers of each transformer: one number, or one per transformer. Default 1. */
  transformerLayersPerBlock?: number | number[];
  /** Default 1. */
  numAttentionHeads?: number;
  /** Default 1280. */
  crossAttentionDim?: number;
}

/** The defaults of `TransformersArgs`. */
export const transformerDefaults = {
  transformerLayersPerBlock: 1,
  numAttentionHeads: 1,
  crossAttentionDim: 1280,
};

/** The call argument `layers` of a block that runs as a whole. */
export const ALL_LAYERS: [from: number, to: number] = [0, Number.POSITIVE_INFINITY];

/** The checks of arguments of the UNet's blocks. */
export const unetBlockChecks: Checks = {
  inChannels: count,
  outChannels: count,
  tembChannels: count,
  numLayers: layerCount,
  resnetEps: epsilon,
};

/** The checks of `TransformersArgs`. */
export const transformerChecks: Checks = {
  transformerLayersPerBlock: oneOrList(layerCountOrNone),
  numAttentionHeads: count,
  crossAttentionDim: count,
};

/** What is wrong with the transformers of a block whose `channels` are named so. */
export function transformerMisfits(
  channels: Record<string, number>,
  config: Required<TransformersArgs> & { numLayers: number },
): (string | undefined)[] {
  const { numLayers, numAttentionHeads, transformerLayersPerBlock: layers } = config;
  const tooFew = Array.isArray(layers) && layers.length < numLayers;
  return [
    indivisible(channels, { numAttentionHeads }),
    tooFew
      ? '`transformerLayersPerBlock` has to have an entry for each of `numLayers` but they are ' +
        `[${layers}] and ${numLayers}.`
      : undefined,
  ];
}

/** The transformers of a UNet block of `numLayers` layers. */
export function makeTransformers(
  channels: number,
  config: Required<TransformersArgs> & { numLayers: number },
): TransformerSpatioTemporalModel[] {
  const { numLayers, transformerLayersPerBlock: layers, numAttentionHeads } = config;
  return Array.from(
    { length: numLayers },
    (_, i) =>
      new TransformerSpatioTemporalModel({
        name: `attentions.${i}`,
        numAttentionHeads,
        attentionHeadDim: channels / numAttentionHeads,
        inChannels: channels,
        numLayers: typeof layers === 'number' ? layers : layers[i],
        crossAttentionDim: config.crossAttentionDim,
      }),
  );
}
