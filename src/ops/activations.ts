/**
 * The activation functions of the SVD networks, as exact as PyTorch's, and the feed-forward that is
 * gated by GELU. Source of the gate: Shazeer 2020.
 */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from './formulations.ts';
import { linear } from './linear.ts';
import { inSlices, sliceBytes } from './slices.ts';
import { fusedHalf } from './tensorflow/fusedHalf.ts';
import { kernels } from './tensorflow/kernels.ts';

type Pointwise = (x: tf.Tensor) => tf.Tensor;

export const siluFormulations = {
  plain: ((x) => tf.mul(x, tf.sigmoid(x))) as Pointwise,
  /** One pass over memory instead of two. */
  softplusGrad: ((x) => kernels.softplusGrad(x, x)) as Pointwise,
};

/** `x * sigmoid(x)`. */
export function silu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => formulationOf('silu', siluFormulations)(x) as T);
}

/** `x * (1 + erf(x / sqrt(2))) / 2`: GELU in its exact form, not the tanh approximation. */
export function gelu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)) as T);
}

/** `x * sigmoid(1.702 x)`, which OpenAI's CLIP uses for GELU. */
export function quickGelu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))) as T);
}

/** The activations that configurations name. */
export const activations = { silu, gelu, quick_gelu: quickGelu };

export type ActivationName = keyof typeof activations;

/** A linear map: weight `[I, O]`, bias `[O]`. */
export interface LinearMap {
  weight: tf.Tensor2D;
  bias: tf.Tensor1D;
}

/** Makes a map when it is needed, so that it is freed once it has been used. */
export type MakeMap = () => LinearMap;

/**
 * p of `gelu(x) = x sigmoid(x p(x^2))`, from the highest power on: fitted for |x| <= 6, where GELU
 * is x or 0 in float32.
 */
const GELU = [
  ...[3.62803768837542e-9, -2.675745629811129e-7, 7.948273559337793e-6],
  ...[-1.1054773845585956e-4, -6.605018514861274e-5, 0.0726682939757971, 1.595768538175815],
];

/** GELU within 2e-7 by operations that wasm runs on several values, and threads, at a time. */
function geluBySigmoid(x: tf.Tensor): tf.Tensor {
  const squares = tf.minimum(tf.square(x), 36);
  const [highest, ...rest] = GELU;
  const next = (sum: tf.Tensor, coefficient: number) => tf.add(tf.mul(sum, squares), coefficient);
  const p = rest.slice(1).reduce<tf.Tensor>(
    (sum, coefficient) => {
      const result = tf.tidy(() => next(sum, coefficient));
      sum.dispose();
      return result;
    },
    tf.add(tf.mul(squares, highest), rest[0]),
  );
  return tf.mul(x, tf.sigmoid(tf.mul(x, p)));
}

type Geglu = (x: tf.Tensor, value: MakeMap, gate: MakeMap) => tf.Tensor;

export const gegluFormulations = {
  plain: ((x, value, gate) => {
    const gated = tf.tidy(() => gelu(mapped(x, gate)));
    return tf.mul(mapped(x, value), gated);
  }) as Geglu,

  /**
   * wasm runs erf as a scalar loop on one thread: 1.2 times faster on one thread, and it scales with
   * threads.
   */
  sigmoid: ((x, value, gate) => {
    const gated = tf.tidy(() => geluBySigmoid(mapped(x, gate)));
    return tf.mul(mapped(x, value), gated);
  }) as Geglu,

  /** With the constants of GELU in x and the biases: 1.5 times faster at [14336, 320]. */
  folded: ((x, value, gate) => {
    const scaled = tf.mul(x, Math.SQRT1_2);
    const gated = tf.tidy(() => {
      const g = mapped(scaled, gate, Math.SQRT1_2);
      return tf.mul(
        g,
        tf.tidy(() => tf.add(tf.erf(g), 1)),
      );
    });
    return tf.mul(mapped(scaled, value, Math.SQRT1_2), gated);
  }) as Geglu,

  /**
   * As `folded`, with a pass less over memory: of -gate/sqrt(2), erfc takes the place of 1 + erf.
   */
  complementary: ((x, value, gate) => {
    const scaled = tf.mul(x, -Math.SQRT1_2);
    const gated = tf.tidy(() => {
      const g = mapped(scaled, gate, -Math.SQRT1_2);
      return tf.mul(g, kernels.erfc(g));
    });
    return tf.mul(mapped(scaled, value, -Math.SQRT1_2), gated);
  }) as Geglu,
};

/** A map of x, whose bias is multiplied by `factor`. */
function mapped(x: tf.Tensor, map: MakeMap, factor?: number): tf.Tensor {
  return tf.tidy(() => {
    const { weight, bias } = map();
    return linear(x, weight, factor === undefined ? bias : (tf.mul(bias, factor) as tf.Tensor1D));
  });
}

/** Values of x `[..., I]` times GELU of its gates: `[..., O]`. Both maps are `[I, O]`. */
export function geglu(x: tf.Tensor, value: MakeMap, gate: MakeMap): tf.Tensor {
  return tf.tidy(() => formulationOf('geglu', gegluFormulations)(x, value, gate));
}

/**
 * The two maps of a feed-forward, by ranges of the features between them: `count` features from
 * number `first` on.
 */
export interface GegluMaps {
  /** The map to the features. */
  value(first: number, count: number): LinearMap;
  /** The map to their gates. */
  gate(first: number, count: number): LinearMap;
  /** The map from them, with the bias only in the range that begins at 0. */
  out(first: number, count: number): Pick<LinearMap, 'weight'> & Partial<LinearMap>;
}

/**
 * The feed-forward `out(value(x) * gelu(gate(x)))` of x `[N, C]` with `features` features between
 * -> `[N, O]`.
 *
 * Large maps are taken one range of features after the other, and many tokens in slices, so that
 * the features of few tokens are in memory at a time.
 */
export function gegluFeedForward(x: tf.Tensor, features: number, maps: GegluMaps): tf.Tensor {
  const fused = tf.engine().isTapeOn() ? undefined : fusedHalf();
  const mapBytes = 3 * (fused ? 2 : 4) * x.shape[1]! * features;
  const width = Math.ceil(features / Math.ceil(mapBytes / (1.5 * sliceBytes())));
  const tokenBytes = (fused ? 2 : 4) * 4 * width;
  const budget = Math.max(sliceBytes(), 2 * mapBytes);
  // Several slices of tokens share the maps. A single one makes each when it is needed.
  const isShared = x.shape[0] * tokenBytes > budget;
  const shared = <T>(make: () => T): (() => T) => {
    if (!isShared) return make;
    const made = make();
    return () => made;
  };
  const ranges = Array.from({ length: Math.ceil(features / width) }, (_, i) => {
    const [first, count] = [i * width, Math.min(width, features - i * width)];
    return {
      value: shared(() => maps.value(first, count)),
      gate: shared(() => maps.gate(first, count)),
      out: shared(() => maps.out(first, count)),
    };
  });
  const throughRange = (tokens: tf.Tensor, { value, gate, out }: (typeof ranges)[number]) =>
    tf.tidy(() => {
      if (fused) {
        const { weight, bias = tf.zeros<tf.Rank.R1>([weight.shape[1]]) } = out();
        return fused.feedForward(tokens as tf.Tensor2D, value(), gate(), { weight, bias });
      }
      const between = geglu(tokens, value, gate);
      const { weight, bias } = out();
      return linear(between, weight, bias);
    });
  const throughAll = ([tokens]: tf.Tensor[]) =>
    tf.tidy(() =>
      ranges
        .slice(1)
        .reduce(
          (sum, range) => tf.tidy(() => tf.add(sum, throughRange(tokens, range))),
          throughRange(tokens, ranges[0]),
        ),
    );
  return inSlices([x], tokenBytes, throughAll, budget);
}
