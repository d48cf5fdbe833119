/**
 * Conversion between float32 and the two half types of checkpoints: IEEE binary16 (`F16`) and
 * bfloat16 (`BF16`), rounding half to even.
 */

let table: Uint32Array | undefined;

/** The float32 bits of one binary16. */
export function widen(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // a subnormal is normal in float32
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/**
 * Widens binary16 bits to float32 in place: `values` holds the halves in its second half
 * (`halves(values)`). A table of all 65,536 values was the fastest of the formulations measured
 * (about 400 million values a second on one core).
 */
export function widenF16(values: Float32Array): void {
  table ??= Uint32Array.from({ length: 65536 }, (_, half) => widen(half));
  const source = halves(values);
  const target = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < source.length; i++) target[i] = table[source[i]];
}

/** Widens bfloat16 bits to float32 in place, as `widenF16`. */
export function widenBF16(values: Float32Array): void {
  const source = halves(values);
  const target = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < source.length; i++) target[i] = source[i] << 16;
}

/**
 * The upper half of the memory of `values`, seen as 16-bit words. Half-precision words read into it
 * can be widened from front to back without a second buffer: the float32 written never reaches a
 * word that is still to be read.
 */
export function halves(values: Float32Array): Uint16Array {
  return new Uint16Array(values.buffer, values.byteOffset + values.length * 2, values.length);
}

/**
 * Binary16 bits of float32 values: overflow becomes infinity, values below 2^-24 / 2 become zero,
 * NaN becomes one and the same NaN.
 */
export function toF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) result[i] = narrow(bits[i]);
  return result;
}

function narrow(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  // Rounding half to even: add half a unit less one, plus the last kept bit. A carry into the
  // exponent is the right result.
  if (magnitude >= 0x38800000)
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  if (magnitude < 0x33000000) return sign; // below half the smallest subnormal
  const shift = 126 - (magnitude >>> 23); // 14 to 24 bits drop off a subnormal
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** Bfloat16 bits of float32 values: rounds half to even, NaN becomes one and the same NaN. */
export function toBF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const notANumber = (bits[i] & 0x7fffffff) > 0x7f800000;
    result[i] = notANumber ? 0x7fc0 : (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return result;
}
