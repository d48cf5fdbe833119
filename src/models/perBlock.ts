/** Configuration values that may be given once for all blocks of a UNet, or once per block. */

/** One value, or one per block. */
export type PerBlock<T> = T | T[];

/** Repeats a value for each block. A list has to have one entry per block. */
export function perBlock<T>(name: string, value: PerBlock<T>, blockTypes: string[]): T[] {
  if (!Array.isArray(value)) return blockTypes.map(() => value);
  requireSameLength({ [name]: value }, { downBlockTypes: blockTypes });
  return value;
}

/** @throws Error with diffusers' message if the two named lists have different lengths. */
export function requireSameLength(
  one: Record<string, unknown[]>,
  other: Record<string, unknown[]>,
): void {
  const [[name, list], [otherName, otherList]] = [Object.entries(one)[0], Object.entries(other)[0]];
  if (list.length === otherList.length) return;
  throw new Error(
    `Must provide the same number of \`${name}\` as \`${otherName}\`. ` +
      `\`${name}\`: ${JSON.stringify(list)}. \`${otherName}\`: ${JSON.stringify(otherList)}.`,
  );
}
