/**
 * The steps of DPM-Solver++ as numbers, with `lambda = -ln sigma` (Lu et al. 2022, "DPM-Solver++:
 * Fast Solver for Guided Sampling of Diffusion Probabilistic Models").
 */
import type { EDMDPMSolverMultistepSchedulerConfig } from './edmConfig.ts';

/** What makes the sample at the next noise level. */
export interface SolverWeights {
  /** The weight of the sample. */
  sample: number;
  /** That of the clean sample that follows from the model's output. */
  output: number;
  /** Those of its difference from the clean sample before, and of that from the one before it. */
  differences: number[];
  /** That of noise of unit variance. */
  noise: number;
}

/**
 * The weights of the step from `sigma` to `sigmaNext`.
 * @param before The noise levels of the steps before, the latest first: one less than the order of
 * the step. A step that did not descend ends them.
 */
export function solverWeights(
  { algorithmType, solverType }: EDMDPMSolverMultistepSchedulerConfig,
  sigmaNext: number,
  sigma: number,
  before: readonly number[],
): SolverWeights {
  const logs = [sigmaNext, sigma, ...before].map(Math.log);
  const [h, ...earlier] = logs.slice(1).map((log, i) => log - logs[i]!) as [number, ...number[]];
  // Rounding may make the terminal level of a schedule the higher one.
  if (h <= 0) return { sample: 1, output: 0, differences: [], noise: 0 };
  const isStochastic = algorithmType === 'sde-dpmsolver++';
  const length = isStochastic ? 2 * h : h;
  const change = -Math.expm1(-length);
  const [r0 = 0, r1 = 0] = earlier.map((step) => step / h);
  const isThird = r0 > 0 && r1 > 0;
  const slope = isThird || solverType === 'heun' ? 1 - change / length : change / 2;
  const bend = isThird ? (slope * r0 + 0.5 - (h - change) / h ** 2) / (r0 + r1) : 0;
  const differences = [(slope + bend) / r0, -bend / r1];
  return {
    sample: (sigmaNext / sigma) * (isStochastic ? Math.exp(-h) : 1),
    output: change,
    differences: differences.slice(0, isThird ? 2 : r0 > 0 ? 1 : 0),
    noise: isStochastic ? sigmaNext * Math.sqrt(change) : 0,
  };
}
