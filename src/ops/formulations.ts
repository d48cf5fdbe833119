/**
 * The choice of an operation's formulation: several compute the same, and each device runs another
 * one fastest.
 *
 * Every operation has a `plain` formulation in differentiable TensorFlow.js ops. Faster ones stand
 * beside it in the same file under the name used here, and the tests hold each of them against the
 * plain one.
 */
import * as tf from '@tensorflow/tfjs-core';
import { checkValue } from '../text/kinds.ts';
import { type FormulationSet, formulationSets } from './choices.ts';
import { deviceName } from './device.ts';
import { computeDtype, computeLikeCard } from './tensorflow/computeIn.ts';
import { hasKernel, type KernelName } from './tensorflow/probes.ts';

interface Choice {
  name: string;
  /** Kernels that it calls by name. Where one is missing, the plain formulation runs. */
  needs?: KernelName[];
}

const fastest: Record<string, Record<string, Choice>> = {
  attention: {
    // wasm runs batched matMul as a scalar loop and 2-D matMul by XNNPACK: 6.6 times faster at 1024
    // tokens.
    wasm: { name: 'perMatrix' },
    'tensorflow-cpu': { name: 'oneDNN', needs: ['softmax', 'batchMatMul'] },
    'tensorflow-gpu': { name: 'direct', needs: ['usualBatchMatMul'] },
  },
  channelMean: {
    // wasm reduces over a middle axis by transposing first; pooling does not: 3 times faster at
    // [14, 32, 32, 320].
    wasm: { name: 'pooled' },
    // It transposes, too, which takes as much memory again.
    webgpu: { name: 'pooled' },
    'tensorflow-cpu': { name: 'product', needs: ['batchMatMul'] },
    'tensorflow-gpu': { name: 'direct', needs: ['mean'] },
  },
  channelMeanSquare: {
    'tensorflow-cpu': { name: 'inRuns', needs: ['euclideanNorm', 'batchMatMul'] },
    'tensorflow-gpu': { name: 'euclidean', needs: ['euclideanNorm'] },
  },
  conv2d: {
    'tensorflow-cpu': { name: 'winograd', needs: ['batchMatMul', 'matMul', 'conv2d'] },
    // cuDNN pads by itself and has its own Winograd kernels.
    'tensorflow-gpu': { name: 'explicit' },
    wasm: { name: 'explicit' },
    webgpu: { name: 'inColumns' },
  },
  geglu: {
    'tensorflow-cpu': { name: 'folded' },
    'tensorflow-gpu': { name: 'complementary', needs: ['erfc'] },
    wasm: { name: 'sigmoid' },
  },
  groupNorm: { 'tensorflow-cpu': { name: 'oneItem' } },
  layerNorm: {
    'tensorflow-cpu': { name: 'oneDNN', needs: ['layerNorm', 'euclideanNorm', 'mean'] },
    'tensorflow-gpu': { name: 'euclidean', needs: ['euclideanNorm', 'mean'] },
  },
  linear: {
    'tensorflow-cpu': { name: 'oneDNN', needs: ['matMul', 'usualMatMul'] },
    'tensorflow-gpu': { name: 'direct', needs: ['usualMatMul'] },
  },
  resizeNearest: { 'tensorflow-gpu': { name: 'oneKernel' } },
  silu: {
    'tensorflow-cpu': { name: 'softplusGrad', needs: ['softplusGrad'] },
    'tensorflow-gpu': { name: 'softplusGrad', needs: ['softplusGrad'] },
  },
  // WGSL allows sin and cos errors of 2^-11: embeddings were 8e-5 off on SwiftShader.
  sinCos: { webgpu: { name: 'polynomial' } },
  // Not on a graphics card: cuDNN multiplies less for 3x3 kernels already, and has no such kernels
  // for 2x2.
  upsampleConv2d: { 'tensorflow-cpu': { name: 'fourConvs' }, wasm: { name: 'fourConvs' } },
  upsampleTwice: { 'tensorflow-gpu': { name: 'oneKernel' } },
};

export { type FormulationSet, formulationSets } from './choices.ts';

let used: FormulationSet = 'fastest';

/**
 * Makes every operation run its formulation of this set. Default: `fastest`. `gpu` runs on a
 * processor what a graphics card would run, for tests.
 * @throws Error if there is no such set.
 */
export function useFormulations(set: FormulationSet): void {
  checkValue('formulations', set, { oneOf: formulationSets });
  used = set;
  computeLikeCard(set === 'gpu');
}

/** The set in use. */
export const formulationsInUse = (): FormulationSet => used;

/** The device whose formulations run. */
const device = () => (used === 'gpu' ? 'tensorflow-gpu' : deviceName());

/**
 * Picks the one of `formulations` that the current device runs fastest. While gradients are
 * recorded, picks the plain one; in half precision, the one called `half`, on any device.
 */
export function formulationOf<F>(
  operation: string,
  formulations: { plain: F } & Record<string, F>,
): F {
  if (tf.engine().isTapeOn()) return formulations.plain;
  if (computeDtype() !== 'float32' && formulations.half) return formulations.half;
  const choice = used === 'plain' ? undefined : fastest[operation]?.[device()];
  return choice?.needs?.every(hasKernel) === false || !choice
    ? formulations.plain
    : formulations[choice.name];
}
