/** Blocks of the VAE that are layers in a row. */
import type * as tf from '@tensorflow/tfjs';
import {
  type Block,
  type ChainStep,
  type Kwargs,
  type LayerArgs,
  SpatioTemporalResBlock,
  type Steps,
  StepwiseBlock,
  sequence,
} from '../../layers/index.ts';

/**
 * A chain of layers, each taking the one tensor that the layer before it gives. Inputs `[x]`,
 * kwargs passed on.
 */
export abstract class Chain<Args extends LayerArgs> extends StepwiseBlock<Args> {
  /** The layers in order of execution; children may hold more, or in another order. */
  protected abstract readonly chain: Block<LayerArgs>[];

  /** The layers as computations in a row. */
  links(kwargs: Kwargs): ChainStep[] {
    return this.chain.map((layer) => ({
      path: layer.name,
      stages:
        layer instanceof SpatioTemporalResBlock
          ? layer.parts(kwargs)
          : [(h) => layer.call(h, kwargs)],
    }));
  }

  steps([x]: tf.Tensor[], kwargs: Kwargs): Steps<tf.Tensor> {
    return sequence(x, this.links(kwargs));
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return this.chain.reduce(
      (shape, layer) => layer.computeOutputShape(shape) as tf.Shape,
      inputShape as tf.Shape,
    );
  }
}
