/** Configuration values that may be given once for all blocks of a UNet, or once per block. */
import { type Kind, listOf, oneOrList, whole } from '../text/kinds.ts';

/** The most levels of a UNet or a VAE; published: 4. */
const MOST_LEVELS = 8;
/** A number of channels. */
export const channels = whole(1, 2 ** 16);
/** A number of layers of each block of a network; published: up to 2. */
export const layers = whole(1, 64);
/** One value per level. */
export const listPerLevel = (kind: Kind): Kind => listOf(kind, 1, MOST_LEVELS);
/** One value, or one per level. */
export const perLevel = (kind: Kind): Kind => oneOrList(kind, MOST_LEVELS);

/** One value, or one per block. */
export type PerBlock<T> = T | T[];

/** Repeats a value for each of so many blocks. */
export const perBlock = <T>(value: PerBlock<T>, blocks: number): T[] =>
  Array.isArray(value) ? value : Array.from({ length: blocks }, () => value);

/** diffusers' message if the two named values are lists of different lengths. */
export function differentLengths(
  one: Record<string, unknown>,
  other: Record<string, unknown[]>,
): string | undefined {
  const [[name, list], [otherName, otherList]] = [Object.entries(one)[0], Object.entries(other)[0]];
  if (!Array.isArray(list) || list.length === otherList.length) return undefined;
  return (
    `Must provide the same number of \`${name}\` as \`${otherName}\`. ` +
    `\`${name}\`: ${JSON.stringify(list)}. \`${otherName}\`: ${JSON.stringify(otherList)}.`
  );
}
