/**
 * Choices between kernels by a stop-watch. Two kernels may differ in the last bit, so a choice is
 * made once and kept: otherwise the bytes of a video would depend on how busy the machine is.
 */

/** A choice, or the figure that one depends on. */
export type Choice = boolean | number;

/** Where choices are kept for later processes. */
export interface ChoiceStore {
  /** The choice of that name, if it has been made. */
  get(name: string): Choice | undefined;
  /**
   * Keeps a choice.
   * @returns The one that holds: another process may have been first.
   */
  keep(name: string, choice: Choice): Choice;
}

const inProcess = new Map<string, Choice>();
let store: ChoiceStore | undefined;

/**
 * Takes choices from a store and keeps new ones in it. Those of this process are forgotten.
 * @returns The store before.
 */
export function useChoices(newStore: ChoiceStore | undefined): ChoiceStore | undefined {
  const before = store;
  store = newStore;
  inProcess.clear();
  return before;
}

/** The choice of a name, which `trial` makes the first time. */
export function chosen<T extends Choice>(name: string, trial: () => T): T {
  let choice = inProcess.get(name) ?? store?.get(name);
  if (choice === undefined) {
    const own = trial();
    choice = store?.keep(name, own) ?? own;
  }
  inProcess.set(name, choice);
  return choice as T;
}

/**
 * The time of `first` divided by that of `second`. The shortest of five times counts, in turns, so
 * that other work of the machine decides as little as possible.
 */
export function shareOfTime(first: () => void, second: () => void): number {
  const shortest = [first, second].map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < 5; round++) {
    for (const [i, run] of [first, second].entries()) {
      const start = performance.now();
      run();
      shortest[i] = Math.min(shortest[i], performance.now() - start);
    }
  }
  return shortest[0] / shortest[1];
}

/** Whether `first` takes less than `limit` times as long as `second`. */
export const isQuicker = (first: () => void, second: () => void, limit = 1): boolean =>
  shareOfTime(first, second) < limit;
