/** Blocks of the VAE that are layers in a row. */
import type * as tf from '@tensorflow/tfjs';
import {
  type Block,
  inTurn,
  type Kwargs,
  type LayerArgs,
  type Link,
  SpatioTemporalResBlock,
  type Steps,
  StepwiseBlock,
} from '../../layers/index.ts';

/**
 * A chain of layers, each taking the one tensor that the layer before it gives. Inputs `[x]`,
 * kwargs passed on.
 */
export abstract class Chain<Args extends LayerArgs> extends StepwiseBlock<Args> {
  /** The layers in order of execution; children may hold more, or in another order. */
  protected abstract readonly chain: Block<LayerArgs>[];

  /** The layers as computations in a row. */
  links(kwargs: Kwargs): Link[] {
    return this.chain.map((layer) => ({
      path: layer.name,
      stages:
        layer instanceof SpatioTemporalResBlock
          ? layer.stages(kwargs)
          : [(h) => layer.call(h, kwargs)],
    }));
  }

  steps([x]: tf.Tensor[], kwargs: Kwargs): Steps<tf.Tensor> {
    return inTurn(x, this.links(kwargs));
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return this.chain.reduce(
      (shape, layer) => layer.computeOutputShape(shape) as tf.Shape,
      inputShape as tf.Shape,
    );
  }
}
