/** Fewer bits per weight, as the weight manifest of TensorFlow.js has them. */
import { CheckpointError, quoted } from '../errors.ts';
import { toF16, widen } from '../safetensors/halfFloat.ts';
import type { Quantization } from './manifest.ts';

/**
 * What weights can be stored as. `none` keeps them as they are: in half precision, if the
 * checkpoint has that.
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

/** Values as they are stored, and what that changes. */
export interface Quantized {
  bytes: Uint8Array;
  quantization: Quantization;
  error: QuantizationError;
}

/**
 * Quantises float32 values. The steps of integers are equal, from the smallest value to the
 * largest, and one of them is 0, so that zeros stay zeros.
 * @throws CheckpointError if a value is not finite or beyond half precision.
 */
export function quantized(
  values: Float32Array,
  dtype: Quantization['dtype'],
  name: string,
): Quantized {
  return dtype === 'float16'
    ? quantizedToHalf(values, name)
    : quantizedToSteps(values, dtype, name);
}

function quantizedToHalf(values: Float32Array, name: string): Quantized {
  const half = toF16(values);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  const error = measured(values, (i) => {
    bits[0] = widen(half[i]);
    return value[0];
  });
  const beyond = values.find((exact, i) => Number.isFinite(exact) && (half[i] & 0x7fff) === 0x7c00);
  if (beyond !== undefined) {
    throw new CheckpointError(
      `${quoted(name)} holds ${beyond}, which half precision cannot: its largest value is 65504. Quantise to uint16, or not at all.`,
    );
  }
  return { bytes: new Uint8Array(half.buffer), quantization: { dtype: 'float16' }, error };
}

function quantizedToSteps(
  values: Float32Array,
  dtype: 'uint8' | 'uint16',
  name: string,
): Quantized {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
    if (!Number.isFinite(value))
      throw new CheckpointError(
        `${quoted(name)} holds ${value}, which cannot be quantised. Convert it as it is.`,
      );
  }
  const steps = dtype === 'uint8' ? 255 : 65535;
  const scale = high === low ? 1 : (high - low) / steps;
  const zero = Math.round(-low / scale);
  const result = dtype === 'uint8' ? new Uint8Array(values.length) : new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++)
    result[i] = Math.min(Math.max(Math.round(values[i] / scale) + zero, 0), steps);
  const min = -zero * scale;
  const error = measured(values, (i) => Math.fround(result[i] * scale + min));
  return { bytes: new Uint8Array(result.buffer), quantization: { dtype, scale, min }, error };
}

function measured(values: Float32Array, stored: (i: number) => number): QuantizationError {
  const error = { squaredDifference: 0, squaredValues: 0, largest: 0 };
  for (let i = 0; i < values.length; i++) {
    const difference = stored(i) - values[i];
    error.squaredDifference += difference * difference;
    error.squaredValues += values[i] * values[i];
    if (Math.abs(difference) > error.largest) error.largest = Math.abs(difference);
  }
  return error;
}

/** The float32 values of stored steps, as TensorFlow.js computes them. */
export function dequantized(
  stored: Uint8Array,
  { dtype, scale, min }: Extract<Quantization, { scale: number }>,
): Float32Array {
  const steps =
    dtype === 'uint8'
      ? stored
      : new Uint16Array(stored.buffer, stored.byteOffset, stored.length / 2);
  return Float32Array.from(steps, (step) => step * scale + min);
}
