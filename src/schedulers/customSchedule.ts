/** Schedules that callers make themselves: checks and warnings. */

/** A custom schedule: timesteps or noise levels. */
export interface CustomSchedule {
  /** Training timesteps to visit, normally descending. */
  timesteps?: readonly number[] | null;
  /** Descending noise levels with the terminal value, normally 0, last. */
  sigmas?: readonly number[] | null;
}

/** Noise above it would overflow; published models have 700 at most. */
const MOST_NOISE = 1e6;

/**
 * @throws When not exactly one of a number of steps, timesteps and sigmas is set, or its numbers
 * are not sensible.
 */
export function checkRequest(steps: number | null, { timesteps, sigmas }: CustomSchedule): void {
  if (timesteps && sigmas) throw new Error('Only one of `timesteps` or `sigmas` should be set.');
  if (steps === null && !timesteps && !sigmas) {
    throw new Error('Must pass exactly one of `numInferenceSteps` or `timesteps` or `sigmas`.');
  }
  if (steps !== null && (timesteps || sigmas)) {
    throw new Error('Can only pass one of `numInferenceSteps` or `timesteps` or `sigmas`.');
  }
  if (steps !== null && (!Number.isInteger(steps) || steps < 1)) {
    throw new Error(
      `\`numInferenceSteps\` has to be a whole number of at least 1 but is ${steps}.`,
    );
  }
  if (sigmas) checkSigmas(sigmas);
}

/** @throws When noise levels are too few, negative, too high or not finite, or 0 before the last. */
export function checkSigmas(sigmas: readonly number[]): void {
  checkNumbers(
    'sigmas',
    sigmas,
    0,
    2,
    'finite noise levels of at least 0, two or more with the terminal value (normally 0) last,',
  );
  // 0 is no noise, which no step can remove, and the largest numbers would overflow.
  if (sigmas.some((sigma, i) => sigma > MOST_NOISE || (sigma === 0 && i < sigmas.length - 1)))
    throw new Error(
      `\`sigmas\` have to be above 0, but for the last, and at most ${MOST_NOISE}, but are ` +
        `[${sigmas.join(', ')}].`,
    );
}

/** @throws When there are fewer than `least` numbers, or one is below `lowest` or not finite. */
export function checkNumbers(
  name: string,
  values: readonly number[],
  lowest: number,
  least: number,
  what: string,
): void {
  if (
    values.length < least ||
    !values.every((value) => Number.isFinite(value) && value >= lowest)
  ) {
    throw new Error(`\`${name}\` has to hold ${what} but is [${values.join(', ')}].`);
  }
}

/** Warnings about custom noise levels: none if they descend to 0. */
export function scheduleWarnings(sigmas: readonly number[]): string[] {
  const found: string[] = [];
  if (sigmas.some((sigma, i) => i > 0 && sigma >= sigmas[i - 1]!)) {
    found.push(
      `\`sigmas\` should descend but are [${sigmas.join(', ')}]: steps to a higher or equal ` +
        'noise level spoil the result.',
    );
  }
  const last = sigmas[sigmas.length - 1]!;
  if (last !== 0) {
    found.push(
      `\`sigmas\` should end with the terminal value 0 but end with ${last}: the result keeps ` +
        'that much noise. Append 0 to remove it.',
    );
  }
  return found;
}
