/** The arguments that every layer takes: of its constructor, and of its calls. */
import type * as tfl from '@tensorflow/tfjs-layers';
import type { ComputeDtype } from '../ops/index.ts';

/** What is set on a layer inside another one, as a saved model holds it. */
export interface SublayerState {
  /** Its name among its siblings, such as `conv1`. */
  name: string;
  /** Whether training changes its weights. */
  trainable: boolean;
  /** What it computes in. */
  computeDtype: ComputeDtype;
  /** The same of the layers inside it. */
  sublayers: SublayerState[];
}

/** Arguments that every layer accepts: `name`, `trainable`, `inputShape`, `weights`, ... */
export interface LayerArgs extends NonNullable<ConstructorParameters<typeof tfl.layers.Layer>[0]> {
  /** See `computeDtype` of the layer. A layer inside it has the same, if it is given no other. */
  computeDtype?: ComputeDtype;
  /** What is set on the layers inside it. `getConfig` writes it. */
  sublayers?: SublayerState[];
}

/** Arguments of the layers that mix the frames of a video. */
export interface FramesArgs extends LayerArgs {
  /**
   * Frames per video for calls without `{ numFrames }`, as in `tf.sequential`, which passes no call
   * arguments on.
   */
  numFrames?: number;
}

/** Call arguments other than tensors, which are inputs. */
export interface CallArgs {
  /**
   * Frames per video; it has to divide the batch of frames. Videos `[B, F, H, W, C]` say it
   * themselves. Layers that do not mix frames ignore it.
   */
  numFrames?: number;
  /** `[height, width]` of the output of an up block. Default: twice those of the input. */
  upsampleSize?: [number, number];
  /**
   * The layers of a down or up block to run, its sampler being the last: from the first number on,
   * before the second. Default: all. `apply` does not take it.
   */
  layers?: [from: number, to: number];
  /** `[height, width]` of the output of `Upsample2D`. Default: twice those of the input. */
  outputSize?: [number, number];
}

/** Options of `layer.save`. */
export interface SaveLayerOptions {
  /**
   * What the keys in the file begin with, such as `decoder.up_blocks.0`: the path that
   * `loadLayerWeights` takes. Default: nothing.
   */
  keyPrefix?: string;
  /** The type that values are stored as. Default float32. */
  dtype?: ComputeDtype;
}
