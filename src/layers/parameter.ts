/** One weight of a layer, as a checkpoint knows it. */
import type * as tfl from '@tensorflow/tfjs-layers';
import type { ComputeDtype } from '../ops/index.ts';

/**
 * How a weight's axes lie in a PyTorch checkpoint, compared with ours. `linear`: `[out, in]` there,
 * `[in, out]` here. `conv2d`: `[out, in, kh, kw]` there, `[kh, kw, in, out]` here. `temporalConv`:
 * `[out, in, kt, 1, 1]` there, `[kt, 1, in, out]` here. `same`: no difference.
 */
export type Layout = 'same' | 'linear' | 'conv2d' | 'temporalConv';

/**
 * One weight of a block: its checkpoint key relative to the block, its variable, and its axis order
 * in checkpoints.
 */
export interface Parameter {
  /** Such as `resnets.0.conv1.weight`. */
  key: string;
  /** Its values, in our axis order. */
  variable: tfl.LayerVariable;
  /** How its axes lie in a checkpoint. */
  layout: Layout;
  /** The type that its layer computes in. */
  computeDtype: ComputeDtype;
}
