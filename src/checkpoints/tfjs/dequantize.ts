/** The values of quantised weights. */
import type { Quantization } from './manifest.ts';

/** The float32 values of stored steps, as TensorFlow.js computes them. */
export function dequantize(
  stored: Uint8Array,
  { dtype, scale, min }: Extract<Quantization, { scale: number }>,
): Float32Array {
  const steps =
    dtype === 'uint8'
      ? stored
      : new Uint16Array(stored.buffer, stored.byteOffset, stored.length / 2);
  const values = new Float32Array(steps.length);
  for (let i = 0; i < steps.length; i++) values[i] = steps[i] * scale + min;
  return values;
}
