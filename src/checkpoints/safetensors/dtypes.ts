/**
 * The element types of the safetensors format and their sizes (safetensors 0.8, `Dtype` in
 * `tensor.rs`).
 */

/**
 * Bits per element, in the order in which the format ranks types: files hold their tensors from the
 * last to the first.
 */
export const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** An element type of the safetensors format. */
export type Dtype = keyof typeof dtypeBits;

/** The element types that are read as float32 values. */
export const floatDtypes: readonly Dtype[] = ['F32', 'F16', 'BF16', 'F64'];

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
