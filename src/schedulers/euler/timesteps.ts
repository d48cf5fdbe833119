/**
 * The training timesteps that a sampling run visits (table 2 of Lin et al. 2023, "Common Diffusion
 * Noise Schedules and Sample Steps are Flawed").
 */
import { linspace } from '../sigmas.ts';

/** The nearest whole number, halves to the even one (`numpy.round`). */
function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** `linspace`: from the last training step to the first, evenly. */
export function linspaceTimesteps(steps: number, trainSteps: number): Float32Array {
  return Float32Array.from(linspace(0, trainSteps - 1, steps)).reverse();
}

/** `leading`: every `floor(trainSteps / steps)`-th training step, `offset` later. */
export function leadingTimesteps(steps: number, trainSteps: number, offset: number): Float32Array {
  const ratio = Math.floor(trainSteps / steps);
  return Float32Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + offset);
}

/** `trailing`: every `trainSteps / steps`-th training step, counted from the last. */
export function trailingTimesteps(steps: number, trainSteps: number): Float32Array {
  const ratio = trainSteps / steps;
  // numpy.arange(trainSteps, 0, -ratio): its count and its step come out of rounded arithmetic.
  const count = Math.ceil(trainSteps / ratio);
  const step = trainSteps - ratio - trainSteps;
  return Float32Array.from({ length: count }, (_, i) => roundHalfToEven(trainSteps + i * step) - 1);
}
