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

/** What is added to the weight of a layer, such as LoRA's product of two small matrices. */
export interface WeightAdapter {
  /** The variables that it is made of. They are weights of the layer, but not of its checkpoint. */
  readonly variables: readonly tfl.LayerVariable[];
  /**
   * Returns the weight, in float32, with its part added. It runs inside `tf.tidy`. Left out if its
   * part is in the stored weight already.
   */
  adapt?(weight: tf.Tensor): tf.Tensor;
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
  /** What is added to the weight after `adaptWeight`, in turn. `addLora` and `loadLora` add it. */
  adapters: readonly WeightAdapter[] = [];

  /** Whether the layer computes with another weight than the stored one. */
  get isAdapted(): boolean {
    return this.adaptWeight !== undefined || this.adapters.some(({ adapt }) => adapt);
  }

  /**
   * The weight that the layer computes with, or a range of it, for products and convolutions: before
   * anything else, widen it by `widened`. Call it inside `tf.tidy`.
   */
  protected effectiveWeight<T extends tf.Tensor>(range?: WeightRange): T {
    const { adaptWeight, weight, adapters } = this;
    if (!this.isAdapted) return weightForProducts<T>(weight, range);
    const own = adaptWeight ? tf.tidy(() => adaptWeight(weightOf(weight))) : weightOf(weight);
    checkAdapted(this.name, own, weight.shape);
    const adapted = tf.tidy(() => adapters.reduce((sum, each) => each.adapt?.(sum) ?? sum, own));
    return (range ? tf.slice(adapted, range.begin, range.size) : adapted) as T;
  }

  private variablesOf(isTrainable: boolean): tfl.LayerVariable[] {
    const all = (this.adapters ?? []).flatMap(({ variables }) => variables);
    return all.filter(({ trainable }) => trainable === isTrainable);
  }

  /** The weights that training changes, with those of adapters, which `trainable` leaves alone. */
  override get trainableWeights(): tfl.LayerVariable[] {
    return [...super.trainableWeights, ...this.variablesOf(true)];
  }
  override set trainableWeights(weights: tfl.LayerVariable[]) {
    super.trainableWeights = weights;
  }

  /** All other weights. */
  override get nonTrainableWeights(): tfl.LayerVariable[] {
    return [...super.nonTrainableWeights, ...this.variablesOf(false)];
  }
  override set nonTrainableWeights(weights: tfl.LayerVariable[]) {
    super.nonTrainableWeights = weights;
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
