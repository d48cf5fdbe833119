/** Weights in fewer bits, as TensorFlow.js' weight manifest describes them. */
import { CheckpointError, quoted } from '../src/checkpoints/errors.ts';
import { toF16, widen } from '../src/checkpoints/safetensors/halfFloat.ts';
import type { Quantization } from '../src/checkpoints/tfjs/manifest.ts';

/**
 * What weights can be stored as. `none` keeps them as they are: in half precision, if the
 * checkpoint is in half precision.
 */
export const quantizations = ['none', 'float16', 'uint8', 'uint16'] as const;
export type QuantizeTo = (typeof quantizations)[number];

/** How far quantised values are from the exact ones. */
export interface QuantizationError {
  /** The sum of the squares of all differences, and of all values. */
  squaredDifference: number;
  squaredValues: number;
  /** The largest difference. */
  largest: number;
}

/** Stored values, and how far they are from the exact ones. */
export interface Quantized {
  bytes: Uint8Array;
  quantization: Quantization;
  error: QuantizationError;
}

/**
 * Quantises float32 values. Integers are equal steps from the smallest value to the largest. One of
 * the steps is 0, so that zeros stay zeros.
 * @throws CheckpointError if a value is not finite, or too large for half precision.
 */
export function quantize(
  values: Float32Array,
  dtype: Quantization['dtype'],
  name: string,
): Quantized {
  return dtype === 'float16' ? quantizeToHalf(values, name) : quantizeToSteps(values, dtype, name);
}

function quantizeToHalf(values: Float32Array, name: string): Quantized {
  const half = toF16(values);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  const error = errorOf(values, (i) => {
    bits[0] = widen(half[i]);
    return value[0];
  });
  const beyond = values.find((exact, i) => Number.isFinite(exact) && (half[i] & 0x7fff) === 0x7c00);
  if (beyond !== undefined) {
    throw new CheckpointError(
      `${quoted(name)} holds ${beyond}, but the largest value of half precision is 65504. Quantise to uint16, or not at all.`,
    );
  }
  return { bytes: new Uint8Array(half.buffer), quantization: { dtype: 'float16' }, error };
}

function quantizeToSteps(values: Float32Array, dtype: 'uint8' | 'uint16', name: string): Quantized {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
    if (!Number.isFinite(value))
      throw new CheckpointError(
        `${quoted(name)} holds ${value}, which cannot be quantised. Convert without \`quantize\`.`,
      );
  }
  const steps = dtype === 'uint8' ? 255 : 65535;
  const scale = high === low ? 1 : (high - low) / steps;
  const zero = Math.round(-low / scale);
  const result = dtype === 'uint8' ? new Uint8Array(values.length) : new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++)
    result[i] = Math.min(Math.max(Math.round(values[i] / scale) + zero, 0), steps);
  const min = -zero * scale;
  const error = errorOf(values, (i) => Math.fround(result[i] * scale + min));
  return { bytes: new Uint8Array(result.buffer), quantization: { dtype, scale, min }, error };
}

function errorOf(values: Float32Array, stored: (i: number) => number): QuantizationError {
  const error = { squaredDifference: 0, squaredValues: 0, largest: 0 };
  for (let i = 0; i < values.length; i++) {
    const difference = stored(i) - values[i];
    error.squaredDifference += difference * difference;
    error.squaredValues += values[i] * values[i];
    if (Math.abs(difference) > error.largest) error.largest = Math.abs(difference);
  }
  return error;
}
