/**
 * Widening of the 8-bit float types of checkpoints, as torch does it, by a table of all 256 values
 * of each.
 */

/** A sign, an exponent with a bias, and the bits of a fraction; of subnormals the exponent is 0. */
interface Float8 {
  fractionBits: number;
  bias: number;
  /** Whether a code without its sign is not a number. */
  notANumber: (magnitude: number, code: number) => boolean;
  infinity?: number;
}

function widened(code: number, { fractionBits, bias, notANumber, infinity }: Float8): number {
  const magnitude = code & 0x7f;
  if (notANumber(magnitude, code)) return Number.NaN;
  const sign = code > 0x7f ? -1 : 1;
  if (magnitude === infinity) return sign * Number.POSITIVE_INFINITY;
  const exponent = magnitude >> fractionBits;
  const fraction = (magnitude & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias)
    : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** Widens codes in place: they are the last quarter of the memory of `values`. */
function widener(tableOf: () => Float32Array): (values: Float32Array) => void {
  let table: Float32Array | undefined;
  return (values) => {
    table ??= tableOf();
    const { buffer, byteOffset, length } = values;
    const codes = new Uint8Array(buffer, byteOffset + 3 * length, length);
    // The float32 written never reaches a code that is still to be read.
    for (let i = 0; i < length; i++) values[i] = table[codes[i]];
  };
}

const widenerOf = (type: Float8) =>
  widener(() => Float32Array.from({ length: 256 }, (_, code) => widened(code, type)));

const onlyMinusZero = (_: number, code: number) => code === 0x80;

/** No infinities, and one magnitude that is not a number: values up to 448. */
export const widenE4M3 = widenerOf({
  fractionBits: 3,
  bias: 7,
  notANumber: (bits) => bits === 0x7f,
});
/** The upper byte of binary16: values up to 57,344. */
export const widenE5M2 = widenerOf({
  fractionBits: 2,
  bias: 15,
  notANumber: (bits) => bits > 0x7c,
  infinity: 0x7c,
});
/** No infinities and no negative zero, whose code is not a number: values up to 240. */
export const widenE4M3FNUZ = widenerOf({ fractionBits: 3, bias: 8, notANumber: onlyMinusZero });
/** The same with values up to 57,344. */
export const widenE5M2FNUZ = widenerOf({ fractionBits: 2, bias: 16, notANumber: onlyMinusZero });
/** Powers of two without a sign, from 2^-127 to 2^127. */
export const widenE8M0 = widener(() =>
  Float32Array.from({ length: 256 }, (_, code) => (code === 255 ? Number.NaN : 2 ** (code - 127))),
);
