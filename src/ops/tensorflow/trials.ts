/**
 * Choices between kernels by a stop-watch. Two kernels may differ in the last bit, so a choice is
 * made once and kept: otherwise the bytes of a video would depend on how busy the machine is.
 */

/** Where choices are kept for later processes. */
export interface ChoiceStore {
  /** The choice of that name, if it has been made. */
  get(name: string): boolean | undefined;
  /**
   * Keeps a choice.
   * @returns The one that holds: another process may have been first.
   */
  keep(name: string, choice: boolean): boolean;
}

const inProcess = new Map<string, boolean>();
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
export function chosen(name: string, trial: () => boolean): boolean {
  let choice = inProcess.get(name) ?? store?.get(name);
  if (choice === undefined) {
    const own = trial();
    choice = store?.keep(name, own) ?? own;
  }
  inProcess.set(name, choice);
  return choice;
}

/**
 * Whether `first` takes less than `limit` times as long as `second`. The shortest of five times
 * counts, in turns, so that other work of the machine decides as little as possible.
 */
export function isQuicker(first: () => void, second: () => void, limit = 1): boolean {
  const shortest = [first, second].map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < 5; round++) {
    for (const [i, run] of [first, second].entries()) {
      const start = performance.now();
      run();
      shortest[i] = Math.min(shortest[i], performance.now() - start);
    }
  }
  return shortest[0] < limit * shortest[1];
}
