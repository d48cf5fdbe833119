/**
 * Schedules of noise levels as pure functions of numbers (`set_timesteps` of diffusers'
 * `EulerDiscreteScheduler`, after k-diffusion).
 */
import { checkRequest } from './customSchedule.ts';
import { betaPpf } from './euler/betaDistribution.ts';
import { linspaceFloat32 } from './euler/betas.ts';

/**
 * `numpy.linspace`: `count` evenly spaced numbers from `start` to exactly `end`, or just `start`.
 */
export function linspace(start: number, end: number, count: number): number[] {
  if (count === 1) return [start];
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? end : i * step + start));
}

/** The noise level at `ramp` of the way from `sigmaMax` to `sigmaMin`, even in `sigma^(1/rho)`. */
export function karrasSigma(ramp: number, sigmaMin: number, sigmaMax: number, rho: number): number {
  const [low, high] = [sigmaMin ** (1 / rho), sigmaMax ** (1 / rho)];
  return (high + ramp * (low - high)) ** rho;
}

/**
 * Karras et al. 2022, equation 5: evenly spaced in `sigma^(1/rho)`, from `sigmaMax` down to
 * `sigmaMin`.
 */
export function karrasSigmas(count: number, sigmaMin: number, sigmaMax: number, rho = 7): number[] {
  return linspace(0, 1, count).map((ramp) => karrasSigma(ramp, sigmaMin, sigmaMax, rho));
}

/** Evenly spaced logarithms, from `sigmaMax` down to `sigmaMin`. */
export function exponentialSigmas(count: number, sigmaMin: number, sigmaMax: number): number[] {
  return linspace(Math.log(sigmaMax), Math.log(sigmaMin), count).map(Math.exp);
}

/**
 * Quantiles of a beta distribution between `sigmaMax` and `sigmaMin` (Lee et al. 2024, "Beta
 * Sampling is All You Need").
 */
export function betaSigmas(
  count: number,
  sigmaMin: number,
  sigmaMax: number,
  alpha = 0.6,
  beta = 0.6,
): number[] {
  return linspace(0, 1, count).map(
    (ramp) => sigmaMin + betaPpf(1 - ramp, alpha, beta) * (sigmaMax - sigmaMin),
  );
}

/**
 * The noise levels of Align Your Steps for Stable Video Diffusion (Sabour et al. 2024), of 10 steps,
 * with the lowest level of training in the place of 0.
 */
const ALIGNED = [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002];

/**
 * The schedule of Align Your Steps for so many steps of Stable Video Diffusion, 0 last: the
 * published one of 10 steps, between whose noise levels logarithms are linear.
 * @throws When `count` is not a whole number of at least 1.
 */
export function alignYourSteps(count: number): number[] {
  checkRequest(count, {});
  const places = linspace(0, ALIGNED.length - 1, count + 1).slice(0, -1);
  const levels = places.map((place) => {
    const low = Math.floor(place);
    return ALIGNED[low]! * (ALIGNED[low + 1]! / ALIGNED[low]!) ** (place - low);
  });
  return [...levels, 0];
}

/**
 * Noise levels at `timesteps`, interpolated in the table of training sigmas. Outside of the table
 * they are its end values (`numpy.interp`).
 */
export function interpolateSigmas(timesteps: ArrayLike<number>, table: Float32Array): number[] {
  const last = table.length - 1;
  return Array.from(timesteps, (t) => {
    if (t <= 0) return table[0]!;
    if (t >= last) return table[last]!;
    const low = Math.floor(t);
    return (table[low + 1]! - table[low]!) * (t - low) + table[low]!;
  });
}

/**
 * Evenly spaced logarithms between the ends of the table of training sigmas, descending. One more
 * than `steps`, as in diffusers.
 */
export function logLinearSigmas(steps: number, table: Float32Array): number[] {
  const ends = [table[table.length - 1]!, table[0]!].map((sigma) =>
    Math.fround(Math.log(sigma)),
  ) as [number, number];
  return Array.from(linspaceFloat32(...ends, steps + 1).map(Math.exp));
}

/**
 * The training timestep, with fraction, that has the noise level `sigma`: linear in the logarithm,
 * limited to the table's ends.
 * @param logTable Logarithms of the training sigmas, ascending.
 * @param round Rounds each operation: `Math.fround` where diffusers works on float32 numbers. The
 * default does not round.
 */
export function sigmaToTimestep(
  sigma: number,
  logTable: Float32Array,
  round: (x: number) => number = (x) => x,
): number {
  const logSigma = round(Math.log(Math.max(sigma, round(1e-10))));
  let low = 0;
  while (low < logTable.length - 2 && logTable[low + 1]! <= logSigma) low++;
  const [below, above] = [logTable[low]!, logTable[low + 1]!];
  const w = Math.min(Math.max(round(round(below - logSigma) / Math.fround(below - above)), 0), 1);
  return round(1 - w) * low + w * (low + 1);
}

/**
 * Whether a noise level is within an interval of levels, or there is no interval. The bounds belong
 * to it, and are rounded to float32 as the levels are.
 */
export const isWithin = (sigma: number, interval: readonly number[] | undefined): boolean =>
  !interval || (Math.fround(interval[0]) <= sigma && sigma <= Math.fround(interval[1]));
