/** Blocks of the VAE that are layers in a row. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {
  type Block,
  type CallArgs,
  type LayerArgs,
  prefixed,
  SpatioTemporalResBlock,
  type Steps,
  StepwiseBlock,
  TensorScope,
} from '../../layers/index.ts';

/** A chain of layers, each of which takes the output of the one before. Inputs `[x]`. */
export abstract class Chain<Args extends LayerArgs> extends StepwiseBlock<Args> {
  /** The layers in order of execution; children may hold more, or in another order. */
  protected abstract readonly chain: Block<LayerArgs>[];

  *steps([x]: tf.Tensor[], kwargs: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    return scope.release(yield* this.stepsIn(scope, x, kwargs));
  }

  /** The steps on x. If `scope` holds x, it frees x once the first layer does not need it. */
  *stepsIn(scope: TensorScope, x: tf.Tensor, kwargs: CallArgs): Steps<tf.Tensor> {
    let h = x;
    for (const layer of this.chain) h = yield* advance(scope, layer, h, kwargs);
    return h;
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return this.chain.reduce(
      (shape, layer) => layer.computeOutputShape(shape),
      inputShape as tfl.Shape,
    );
  }
}

/**
 * Runs `layer` on x within `scope`, which frees x, if it holds it, as soon as the layer does not
 * need it: the decoder's largest tensors are the inputs of its blocks.
 */
export function* advance(
  scope: TensorScope,
  layer: Block<LayerArgs>,
  x: tf.Tensor,
  kwargs: CallArgs = {},
): Steps<tf.Tensor> {
  if (layer instanceof Chain) {
    const output = yield* prefixed(layer.name, layer.stepsIn(scope, x, kwargs));
    return scope.map(output, (h) => layer.emit(h));
  }
  if (layer instanceof SpatioTemporalResBlock) {
    yield layer.name;
    return layer.callIn(scope, x, kwargs);
  }
  return scope.replace(x, yield* scope.run(layer, [x], kwargs));
}
