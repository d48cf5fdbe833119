/** Endings of file names, which systems write in small or in capital letters. */

/** Whether a path ends in one of `endings`, which are in small letters. */
export const hasEnding = (path: string, ...endings: readonly string[]): boolean =>
  endings.some((ending) => path.toLowerCase().endsWith(ending));
