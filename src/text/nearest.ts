/** Suggestions for mistyped names. */

/**
 * The number of letters to insert, delete, replace or swap with their neighbour in order to make
 * `b` of `a`.
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length];
}

/**
 * The name most like `name`, whatever its case, or undefined if none is alike. A name that begins
 * with `name` counts as very alike.
 */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const typed = name.toLowerCase();
  const near = (other: string) =>
    other.startsWith(typed) ? 1 : editDistance(typed, other.toLowerCase());
  const [best] = [...names].sort((a, b) => near(a) - near(b));
  return best !== undefined && near(best) <= Math.max(2, name.length / 3) ? best : undefined;
}

/**
 * ` Did you mean X?`, or nothing if no name is alike. `write` shows a name as the user would type
 * it.
 */
export function didYouMean(
  name: string,
  names: readonly string[],
  write = (found: string) => found,
): string {
  const found = nearest(name, names);
  return found === undefined ? '' : ` Did you mean ${write(found)}?`;
}
