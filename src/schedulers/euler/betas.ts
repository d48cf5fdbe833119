/**
 * The noise levels of training (`EulerDiscreteScheduler.__init__` of diffusers). Arithmetic is
 * float32 where torch's is: every operation rounds once. (Where torch uses MKL, its square roots
 * may differ by one unit in the last place.)
 */
import type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';

const f32 = Math.fround;

/**
 * `torch.linspace(start, end, count, dtype=float32)`: counted from both ends, with fused
 * multiply-adds.
 */
export function linspaceFloat32(start: number, end: number, count: number): Float32Array {
  const [first, last] = [f32(start), f32(end)];
  if (count === 1) return Float32Array.of(first);
  const step = f32(f32(last - first) / (count - 1));
  const half = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) =>
    i < half ? first + step * i : last - step * (count - 1 - i),
  );
}

/** `torch.cumprod` of float32 numbers: the running product is kept in double precision. */
function cumprod(values: Float32Array): Float32Array {
  let product = 1;
  return values.map((value) => {
    product *= value;
    return product;
  });
}

/** `linear`: evenly spaced betas. */
export function linearBetas(start: number, end: number, count: number): Float32Array {
  return linspaceFloat32(start, end, count);
}

/** `scaled_linear`: betas with evenly spaced square roots (latent diffusion). */
export function scaledLinearBetas(start: number, end: number, count: number): Float32Array {
  return linspaceFloat32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
}

/**
 * `squaredcos_cap_v2`: `alphaBar(t) = cos((t + 0.008) / 1.008 * pi / 2)^2`, betas at most 0.999
 * (Nichol and Dhariwal 2021).
 */
export function cosineBetas(count: number): Float32Array {
  const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  );
}

/**
 * The betas of a configuration's training schedule.
 * @throws When the schedule is unknown.
 */
export function trainingBetas(config: EulerDiscreteSchedulerConfig): Float32Array {
  const { trainedBetas, betaSchedule, betaStart, betaEnd, numTrainTimesteps } = config;
  if (trainedBetas) return Float32Array.from(trainedBetas);
  switch (betaSchedule) {
    case 'linear':
      return linearBetas(betaStart, betaEnd, numTrainTimesteps);
    case 'scaled_linear':
      return scaledLinearBetas(betaStart, betaEnd, numTrainTimesteps);
    case 'squaredcos_cap_v2':
      return cosineBetas(numTrainTimesteps);
    default:
      throw new Error(
        `${betaSchedule} is not implemented for EulerDiscreteScheduler. Choose ` +
          `\`betaSchedule\` from 'linear', 'scaled_linear' and 'squaredcos_cap_v2'.`,
      );
  }
}

/** Rescales betas so that the last noise level leaves no signal (Lin et al. 2023, algorithm 1). */
export function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = alphasCumprodOf(betas).map(Math.sqrt);
  const [first, last] = [roots[0]!, roots[roots.length - 1]!];
  const scale = f32(first / f32(first - last));
  const alphaBars = roots.map((root) => f32(f32(root - last) * scale) ** 2);
  return alphaBars.map(
    (alphaBar, i) => 1 - (i === 0 ? alphaBar : f32(alphaBar / alphaBars[i - 1]!)),
  );
}

/** The share of signal left after each training step: running products of `1 - beta`. */
export function alphasCumprodOf(betas: Float32Array): Float32Array {
  return cumprod(betas.map((beta) => 1 - beta));
}

/** Noise relative to signal at each training step: `sqrt((1 - alphaBar) / alphaBar)`, ascending. */
export function trainSigmas(alphasCumprod: Float32Array): Float32Array {
  return alphasCumprod.map((alphaBar) => Math.sqrt(f32(f32(1 - alphaBar) / alphaBar)));
}
