/** The distance of one tensor from another, in the measures that tables of parity show. */

/** Values with their shape, last axis fastest. */
export interface Values {
  /** The values. */
  data: ArrayLike<number>;
  /** Sizes of the axes. */
  shape: readonly number[];
}

/** The distance of a tensor from a reference. */
export interface TensorComparison {
  /** The shape of both. */
  shape: number[];
  /** Largest absolute difference. */
  maxAbs: number;
  /** `|actual - expected| / |expected|` over all values; 0 if both are 0. */
  relativeL2: number;
  /** Cosine of the angle between both as vectors; 1 if both are 0. */
  cosine: number;
  /** Share of values that are equal as 8-bit values of [0, 1]. */
  equalBytes: number;
  /** Largest difference of these 8-bit values. */
  largestByteDifference: number;
}

const byte = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * 255);

/**
 * Compares two tensors of the same shape. `maxAbs` and `relativeL2` are NaN or infinite if a value
 * is not finite.
 * @throws When the shapes differ.
 */
export function compareTensors(actual: Values, expected: Values): TensorComparison {
  const { shape } = expected;
  if (actual.shape.join() !== shape.join())
    throw new Error(`The shape is [${actual.shape}] but should be [${shape}].`);
  const [a, b] = [actual.data, expected.data];
  let [squares, actualSquares, expectedSquares, product] = [0, 0, 0, 0];
  let [maxAbs, equal, largestByteDifference] = [0, 0, 0];
  for (let i = 0; i < b.length; i++) {
    const difference = a[i] - b[i];
    squares += difference * difference;
    actualSquares += a[i] * a[i];
    expectedSquares += b[i] * b[i];
    product += a[i] * b[i];
    maxAbs = Math.max(maxAbs, Math.abs(difference)); // NaN stays
    const step = Math.abs(byte(a[i]) - byte(b[i]));
    if (step === 0) equal++;
    largestByteDifference = Math.max(largestByteDifference, step);
  }
  return {
    shape: [...shape],
    maxAbs,
    relativeL2: squares === 0 ? 0 : Math.sqrt(squares / expectedSquares),
    cosine:
      actualSquares === 0 && expectedSquares === 0
        ? 1
        : product / Math.sqrt(actualSquares * expectedSquares),
    equalBytes: equal / Math.max(1, b.length),
    largestByteDifference,
  };
}
