/**
 * One meaning, several formulations: which one of an operation's formulations a backend runs fastest.
 *
 * Every operation has a `plain` formulation in differentiable TensorFlow.js ops. Faster ones stand beside it in the same
 * file under the name used here, and the tests hold each of them against the plain one.
 */
import * as tf from '@tensorflow/tfjs';

const fastest: Record<string, Record<string, string>> = {
  // wasm runs batched matMul as a scalar loop and 2-D matMul by XNNPACK: 6.6 times faster at 1024 tokens.
  attention: { wasm: 'perMatrix' },
  // wasm reduces over a middle axis by transposing first; pooling does not: 3 times faster at [14, 32, 32, 320].
  channelMean: { wasm: 'pooled' },
  // WGSL allows sin and cos errors of 2^-11: embeddings were 8e-5 off on SwiftShader.
  sinCos: { webgpu: 'polynomial' },
};

let onlyPlain = false;

/** Makes every operation run its plain formulation (`true`), or the fastest for the backend (`false`, the default). */
export function usePlainFormulations(plain: boolean): void {
  onlyPlain = plain;
}

/** Picks from `formulations` what the current backend runs fastest. */
export function formulationOf<F>(operation: string, formulations: { plain: F } & Record<string, F>): F {
  const name = onlyPlain ? 'plain' : (fastest[operation]?.[tf.getBackend()] ?? 'plain');
  return formulations[name];
}
