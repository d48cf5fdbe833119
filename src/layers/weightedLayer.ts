/** The base class of the layers that multiply by a weight. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { shown } from '../text/messages.ts';
import { type AnyBlock, Block, type LayerArgs, weightForProducts, weightOf } from './block.ts';
import { checkIsBlock } from './inputs.ts';
import { layersIn } from './sublayers.ts';

/** A range of a weight, as `tf.slice` takes it. */
export interface WeightRange {
  /** The first index on each axis. */
  begin: number[];
  /** The number of indices on each axis. */
  size: number[];
}

/** A linear map or a convolution: a layer with a weight and a bias. */
export abstract class WeightedLayer<Args extends LayerArgs = LayerArgs> extends Block<Args> {
  /** The weight as it is stored. Compute with `effectiveWeight`. */
  protected weight!: tfl.LayerVariable;
  /** The bias, if there is one. */
  protected bias?: tfl.LayerVariable;
  /**
   * Makes of the stored weight the one that the layer computes with, of the same shape. Every way
   * of computing calls it: alone and fused, in slices, in half precision, and in `tf.grad`. It runs
   * inside `tf.tidy`. A call throws if it returns anything else.
   */
  adaptWeight?: (weight: tf.Tensor) => tf.Tensor;

  /**
   * The weight that the layer computes with, or a range of it, for products and convolutions: before
   * anything else, widen it by `widened`. Call it inside `tf.tidy`.
   */
  protected effectiveWeight<T extends tf.Tensor>(range?: WeightRange): T {
    const { adaptWeight, weight } = this;
    if (!adaptWeight) return weightForProducts<T>(weight, range);
    const adapted = tf.tidy(() => adaptWeight(weightOf(weight)));
    checkAdapted(this.name, adapted, weight.shape);
    return (range ? tf.slice(adapted, range.begin, range.size) : adapted) as T;
  }
}

/** @throws Error if an adapter returns anything but a tensor of the shape of the weight. */
function checkAdapted(layer: string, adapted: unknown, shape: tfl.Shape): void {
  const returned = adapted instanceof tf.Tensor ? `one of [${adapted.shape}]` : shown(adapted);
  if (returned === `one of [${shape}]`) return;
  throw new Error(
    `\`adaptWeight\` of the layer "${layer}" has to return a tensor of the shape of the weight, ` +
      `[${shape}], but returns ${returned}.`,
  );
}

/** Every `WeightedLayer` in `block`, itself included. */
export function weightedLayersIn(block: AnyBlock): WeightedLayer[] {
  checkIsBlock('weightedLayersIn', block);
  return layersIn(block, WeightedLayer);
}
