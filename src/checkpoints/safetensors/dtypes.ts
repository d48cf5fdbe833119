/** The element types of the safetensors format (safetensors 0.8, `Dtype` in `tensor.rs`). */
import { widenE4M3, widenE4M3FNUZ, widenE5M2, widenE5M2FNUZ, widenE8M0 } from './float8.ts';
import { toBF16, toF16, widenBF16, widenF16 } from './halfFloat.ts';

/**
 * Bits per element, in the order in which the format ranks types: files hold their tensors from the
 * last to the first.
 */
export const dtypeBits = {
  ...{ BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8 },
  ...{ F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
  ...{ I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32 },
  ...{ C64: 64, F64: 64, I64: 64, U64: 64 },
} as const;

/** An element type of the safetensors format. */
export type Dtype = keyof typeof dtypeBits;

/** How float32 values are read and written as another type. */
interface FloatType {
  /** Left out by types that are only read. */
  encode?(values: Float32Array): Float32Array | Float64Array | Uint16Array;
  /** Widens narrower values in place: they are the last bytes of the memory of `values`. */
  widen?(values: Float32Array): void;
}

/** The element types that are read as float32 values. */
export const floatTypes: Partial<Record<Dtype, FloatType>> = {
  F32: { encode: (values) => values },
  F16: { encode: toF16, widen: widenF16 },
  BF16: { encode: toBF16, widen: widenBF16 },
  F64: { encode: (values) => Float64Array.from(values) },
  F8_E4M3: { widen: widenE4M3 },
  F8_E5M2: { widen: widenE5M2 },
  F8_E4M3FNUZ: { widen: widenE4M3FNUZ },
  F8_E5M2FNUZ: { widen: widenE5M2FNUZ },
  F8_E8M0: { widen: widenE8M0 },
};
/** The element types that are read as float32 values, for messages. */
export const readableDtypes = Object.keys(floatTypes).join(', ');
/** The element types that float32 values are written as, for messages. */
export const writableDtypes = Object.entries(floatTypes)
  .flatMap(([name, { encode }]) => (encode ? [name] : []))
  .join(', ');

/** The type to store computed values in beside values of the type `dtype`. */
export const dtypeBeside = (dtype: Dtype): Dtype => (floatTypes[dtype]?.encode ? dtype : 'F32');

/** Float types that weights can be converted to, by their names in TensorFlow.js and PyTorch. */
export const savedDtypes = {
  /** 32 bits. */
  float32: 'F32',
  /** 16 bits, IEEE 754's half precision. */
  float16: 'F16',
  /** 16 bits, the upper half of float32. */
  bfloat16: 'BF16',
} as const satisfies Record<string, Dtype>;
/** The name of one of them. */
export type SavedDtype = keyof typeof savedDtypes;

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(dtypeBits, name);
}

/** Bytes of a tensor, or undefined if that is not a whole number below 2^53. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number | undefined {
  let elements = shape.includes(0) ? 0 : 1;
  for (const size of shape) {
    elements *= size;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const bytes = (elements * dtypeBits[dtype]) / 8;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
