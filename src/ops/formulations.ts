/**
 * One meaning, several formulations: which one of an operation's formulations a device runs fastest.
 *
 * Every operation has a `plain` formulation in differentiable TensorFlow.js ops. Faster ones stand beside it in the same
 * file under the name used here, and the tests hold each of them against the plain one.
 */
import * as tf from '@tensorflow/tfjs';
import { deviceName, hasKernel, type KernelName } from './kernels.ts';

interface Choice {
  name: string;
  /** Kernels that it calls by name. Without them, the plain formulation runs. */
  needs?: KernelName[];
}

const fastest: Record<string, Record<string, Choice>> = {
  attention: {
    // wasm runs batched matMul as a scalar loop and 2-D matMul by XNNPACK: 6.6 times faster at 1024 tokens.
    wasm: { name: 'perMatrix' },
    'tensorflow-cpu': { name: 'oneDNN', needs: ['softmax', 'batchMatMul'] },
  },
  channelMean: {
    // wasm reduces over a middle axis by transposing first; pooling does not: 3 times faster at [14, 32, 32, 320].
    wasm: { name: 'pooled' },
    'tensorflow-cpu': { name: 'product' },
  },
  conv2d: { 'tensorflow-cpu': { name: 'winograd' } },
  geglu: { 'tensorflow-cpu': { name: 'folded' } },
  layerNorm: { 'tensorflow-cpu': { name: 'oneDNN', needs: ['layerNorm'] } },
  silu: { 'tensorflow-cpu': { name: 'softplusGrad', needs: ['softplusGrad'] } },
  // WGSL allows sin and cos errors of 2^-11: embeddings were 8e-5 off on SwiftShader.
  sinCos: { webgpu: { name: 'polynomial' } },
  upsampleConv2d: { 'tensorflow-cpu': { name: 'fourConvs' }, wasm: { name: 'fourConvs' } },
};

let onlyPlain = false;

/** Makes every operation run its plain formulation (`true`), or the fastest for the device (`false`, the default). */
export function usePlainFormulations(plain: boolean): void {
  onlyPlain = plain;
}

/** Picks from `formulations` what the current device runs fastest; while gradients are recorded, the plain one. */
export function formulationOf<F>(operation: string, formulations: { plain: F } & Record<string, F>): F {
  const choice = onlyPlain || tf.engine().isTapeOn() ? undefined : fastest[operation]?.[deviceName()];
  return choice?.needs?.every(hasKernel) === false || !choice ? formulations.plain : formulations[choice.name];
}
