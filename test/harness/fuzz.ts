/** What tests with random inputs share. `FUZZ=100` in the environment makes 100 times as many,
 * and `npm test` a fifth. */

/** How many cases to try, where `usual` are tried in `npm run test:all`. */
export const fuzzCases = (usual: number): number =>
  Math.ceil(usual * Number(process.env.FUZZ ?? 1));

/** Random choices that follow from a seed. */
export class Choices {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  /** A whole number from 0 to `limit - 1`, by Mulberry32. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  /** One of some values. */
  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}
