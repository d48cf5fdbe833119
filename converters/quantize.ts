/** Weights in fewer bits, as TensorFlow.js' weight manifest describes them. */
import { CheckpointError, quoted } from '../src/checkpoints/errors.ts';
import { halves, toF16, widenF16 } from '../src/checkpoints/safetensors/halfFloat.ts';
import { dequantize } from '../src/checkpoints/tfjs/dequantize.ts';
import type { Quantization } from '../src/checkpoints/tfjs/manifest.ts';

/** The types to store weights in. `none` keeps them as they are, also in half precision. */
export const quantizations = ['none', 'float16', 'uint8', 'uint16'] as const;
/** One of them. */
export type QuantizeTo = (typeof quantizations)[number];

/** How far quantised values are from the exact ones. */
export interface QuantizationError {
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
  const beyond = values.find((exact, i) => Number.isFinite(exact) && (half[i] & 0x7fff) === 0x7c00);
  if (beyond !== undefined)
    throw new CheckpointError(
      `${quoted(name)} holds ${beyond}, but the largest value of half precision is 65504. ` +
        'Quantise to uint16, or not at all.',
    );
  const stored = new Float32Array(values.length);
  halves(stored).set(half);
  widenF16(stored);
  const bytes = new Uint8Array(half.buffer);
  return { bytes, quantization: { dtype: 'float16' }, error: errorOf(values, stored) };
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
  const largest = dtype === 'uint8' ? 255 : 65535;
  const scale = high === low ? 1 : (high - low) / largest;
  const zero = Math.round(-low / scale);
  const steps = new (dtype === 'uint8' ? Uint8Array : Uint16Array)(values.length);
  for (let i = 0; i < values.length; i++)
    steps[i] = Math.min(Math.max(Math.round(values[i] / scale) + zero, 0), largest);
  const quantization = { dtype, scale, min: -zero * scale };
  const bytes = new Uint8Array(steps.buffer);
  return { bytes, quantization, error: errorOf(values, dequantize(bytes, quantization)) };
}

function errorOf(values: Float32Array, stored: Float32Array): QuantizationError {
  const error = { squaredDifference: 0, squaredValues: 0, largest: 0 };
  for (let i = 0; i < values.length; i++) {
    const difference = stored[i] - values[i];
    error.squaredDifference += difference * difference;
    error.squaredValues += values[i] * values[i];
    if (Math.abs(difference) > error.largest) error.largest = Math.abs(difference); // not NaN
  }
  return error;
}
