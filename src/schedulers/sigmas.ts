/**
 * Schedules of noise levels as pure functions of numbers (`set_timesteps` of diffusers'
 * `EulerDiscreteScheduler`, after k-diffusion).
 */
import { betaPpf } from './betaDistribution.ts';
import { linspaceFloat32 } from './betas.ts';

/**
 * `numpy.linspace`: `count` evenly spaced numbers from `start` to exactly `end`, or just `start`.
 */
export function linspace(start: number, end: number, count: number): number[] {
  if (count === 1) return [start];
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? end : i * step + start));
}

/**
 * Karras et al. 2022, equation 5: evenly spaced in `sigma^(1/rho)`, from `sigmaMax` down to
 * `sigmaMin`.
 */
export function karrasSigmas(count: number, sigmaMin: number, sigmaMax: number, rho = 7): number[] {
  const [low, high] = [sigmaMin ** (1 / rho), sigmaMax ** (1 / rho)];
  return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** rho);
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
