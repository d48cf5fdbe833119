/** Figures that sum up measurements. */

/** The middle value, or the mean of the two middle ones. */
export function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Norm of the difference divided by the norm of the expected values. */
export function relativeL2(values: Float32Array, expected: Float32Array): number {
  if (values.length !== expected.length)
    throw new Error(`the results have ${values.length} and ${expected.length} values`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (values[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}
