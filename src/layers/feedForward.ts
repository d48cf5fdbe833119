/** The feed-forward network of transformer blocks. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { gegluFeedForward, gelu, reshapeTo, sequential } from '../ops/index.ts';
import { count, number } from '../text/kinds.ts';
import { Block, type Inputs, type LayerArgs } from './block.ts';
import type { Checks } from './checks.ts';
import { Linear } from './linear.ts';
import { registerLayer } from './registry.ts';

/** Arguments of `FeedForward`. */
export interface FeedForwardArgs extends LayerArgs {
  /** Channels of the input. */
  dim: number;
  /** Default: `dim`. */
  dimOut?: number;
  /** Inner width as a multiple of `dim`. Default 4. */
  mult?: number;
  /** `geglu` (default): value times GELU of a gate. `gelu`: only GELU. */
  activationFn?: 'geglu' | 'gelu';
}

/**
 * `[..., dim]` -> `[..., dimOut]`, each token by itself.
 *
 * Equals `FeedForward` of diffusers' `models/attention.py` with `geglu` or `gelu`.
 *
 * @example
 * ```ts
 * const feedForward = new FeedForward({ dim: 64 });
 * const y = feedForward.apply(tf.randomNormal([2, 96, 64])); // [2, 96, 64]
 * ```
 */
export class FeedForward extends Block<FeedForwardArgs> {
  static className = 'FeedForward';
  static override checks: Checks = {
    dim: count,
    dimOut: count,
    mult: number({ above: 0 }),
    activationFn: { oneOf: ['geglu', 'gelu'] },
  };
  private readonly proj: Linear;
  private readonly out: Linear;

  constructor(args: FeedForwardArgs) {
    super(args);
    const { dim, dimOut, mult, activationFn } = this.config;
    const inner = dim * mult;
    const outFeatures = activationFn === 'geglu' ? 2 * inner : inner;
    this.proj = this.child(new Linear({ name: 'net.0.proj', inFeatures: dim, outFeatures }));
    this.out = this.child(new Linear({ name: 'net.2', inFeatures: inner, outFeatures: dimOut }));
  }

  override get config() {
    return { dimOut: this.args.dim, mult: 4, activationFn: 'geglu' as const, ...this.args };
  }

  override misfits() {
    const { dim, mult } = this.config;
    return [
      Number.isInteger(dim * mult)
        ? undefined
        : `\`dim\` * \`mult\` has to be a whole number but they are ${dim} and ${mult}.`,
    ];
  }

  override get inputAxes(): Inputs {
    return { x: ['...', this.args.dim] };
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    const { dim, mult, activationFn } = this.config;
    const inner = dim * mult;
    const tokens = reshapeTo(x, [-1, dim]); // flat, so that neither map has to reshape
    const y =
      activationFn === 'gelu'
        ? sequential(
            tokens,
            (h) => this.proj.call(h),
            gelu,
            (h) => this.out.call(h),
          )
        : gegluFeedForward(tokens, inner, {
            value: (first, count) => this.proj.outputs(first, count),
            gate: (first, count) => this.proj.outputs(inner + first, count),
            out: (first, count) => this.out.inputs(first, count),
          });
    return reshapeTo(y, this.computeOutputShape(x.shape) as number[]);
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    return this.out.computeOutputShape(inputShape);
  }
}
registerLayer(FeedForward);

/**
 * Slices for a feed-forward: `size` entries of an axis at a time, 0 (batch) or 1 (tokens or
 * frames).
 */
export interface Chunking {
  /** Entries per slice; it has to divide the axis. */
  size: number;
  /** The axis: 0 for the batch, 1 for tokens or frames. */
  dim: 0 | 1;
}

/**
 * Runs `feedForward` on slices of x along `chunking.dim`, which takes less memory and has the same
 * result.
 * @throws Error if the size of a slice does not divide the axis.
 */
export function chunkedFeedForward(
  feedForward: FeedForward,
  x: tf.Tensor,
  chunking?: Chunking,
): tf.Tensor {
  if (!chunking) return feedForward.call(x);
  const { size, dim } = chunking;
  const length = x.shape[dim] as number;
  if (!Number.isInteger(length / size) || !Number.isInteger(size) || size < 1) {
    throw new Error(
      `\`hidden_states\` dimension to be chunked: ${length} has to be divisible by chunk ` +
        `size: ${size}. ` +
        'Make sure to set an appropriate `chunkSize` when calling `unet.enableForwardChunking`.',
    );
  }
  return tf.tidy(() => {
    const parts = Array.from({ length: length / size }, (_, i) =>
      tf.tidy(() => {
        const begin = dim === 0 ? [i * size] : [0, i * size];
        const extent = x.shape.map((n, axis) => (axis === dim ? size : n));
        return feedForward.call(
          tf.slice(x, [...begin, ...Array(x.rank - begin.length).fill(0)], extent),
        );
      }),
    );
    return tf.concat(parts, dim);
  });
}
