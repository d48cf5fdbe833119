/**
 * The schedule of one sampling run: its noise levels and the model's timestep at each
 * (`EulerDiscreteScheduler.set_timesteps` of diffusers).
 */
import type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';
import {
  betaSigmas,
  exponentialSigmas,
  interpolateSigmas,
  karrasSigmas,
  logLinearSigmas,
  sigmaToTimestep,
} from './sigmas.ts';
import { leadingTimesteps, linspaceTimesteps, trailingTimesteps } from './timesteps.ts';

/** Noise levels, the terminal one last, and the model's timestep at each but the last. */
export interface Schedule {
  sigmas: Float32Array;
  timesteps: Float32Array;
}

/** A custom schedule: timesteps or noise levels. */
export interface CustomSchedule {
  /** Training timesteps to visit, normally descending. */
  timesteps?: readonly number[] | null;
  /** Descending noise levels with the terminal value, normally 0, last. */
  sigmas?: readonly number[] | null;
}

/** Noise above it would overflow; published models have 700 at most. */
const MOST_NOISE = 1e6;

const KINDS = ['useKarrasSigmas', 'useExponentialSigmas', 'useBetaSigmas'] as const;

/**
 * Whether the model's timesteps are logarithms of noise levels instead of training steps.
 * @throws When `timestepType` is unknown.
 */
export function isContinuous({
  timestepType,
  predictionType,
}: EulerDiscreteSchedulerConfig): boolean {
  if (timestepType !== 'continuous' && timestepType !== 'discrete') {
    throw new Error(
      `${timestepType} is not supported. Please make sure to choose timestepType 'discrete' ` +
        `or 'continuous'.`,
    );
  }
  return timestepType === 'continuous' && predictionType === 'v_prediction';
}

/** A quarter of the logarithm of each noise level: the timesteps of continuous models. */
export function continuousTimesteps(sigmas: Float32Array): Float32Array {
  return sigmas.map((sigma) => 0.25 * Math.fround(Math.log(sigma)));
}

function checkNumbers(
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

/**
 * @throws When not exactly one kind of schedule is chosen, its numbers are not sensible, or the
 * configuration cannot follow it.
 */
function checkRequest(
  config: EulerDiscreteSchedulerConfig,
  steps: number | null,
  { timesteps, sigmas }: CustomSchedule,
): void {
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
  if (sigmas) {
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
  if (!timesteps) return;
  const kind = KINDS.find((key) => config[key]);
  if (kind) throw new Error(`Cannot set \`timesteps\` with \`config.${kind} = true\`.`);
  if (isContinuous(config)) {
    throw new Error(
      "Cannot set `timesteps` with `config.timestepType = 'continuous'` and " +
        "`config.predictionType = 'v_prediction'`.",
    );
  }
  checkNumbers('timesteps', timesteps, Number.NEGATIVE_INFINITY, 1, 'one or more finite numbers');
}

function spacedTimesteps(
  { timestepSpacing, numTrainTimesteps, stepsOffset }: EulerDiscreteSchedulerConfig,
  steps: number,
): Float32Array {
  switch (timestepSpacing) {
    case 'linspace':
      return linspaceTimesteps(steps, numTrainTimesteps);
    case 'leading':
      return leadingTimesteps(steps, numTrainTimesteps, stepsOffset);
    case 'trailing':
      return trailingTimesteps(steps, numTrainTimesteps);
    default:
      throw new Error(
        `${timestepSpacing} is not supported. Please make sure to choose one of 'linspace', ` +
          `'leading' or 'trailing'.`,
      );
  }
}

function plainSigmas(
  { interpolationType }: EulerDiscreteSchedulerConfig,
  timesteps: Float32Array,
  steps: number,
  table: Float32Array,
): number[] {
  switch (interpolationType) {
    case 'linear':
      return interpolateSigmas(timesteps, table);
    case 'log_linear':
      return logLinearSigmas(steps, table);
    default:
      throw new Error(
        `${interpolationType} is not implemented. Please specify interpolationType to either ` +
          `'linear' or 'log_linear'`,
      );
  }
}

/** Noise levels of the kind that the configuration chooses, or null for plain ones. */
function specialSigmas(
  config: EulerDiscreteSchedulerConfig,
  plain: number[],
  steps: number,
): number[] | null {
  const [low, high] = [config.sigmaMin ?? plain[plain.length - 1]!, config.sigmaMax ?? plain[0]!];
  if (config.useKarrasSigmas) return karrasSigmas(steps, low, high);
  if (config.useExponentialSigmas) return exponentialSigmas(steps, low, high);
  if (config.useBetaSigmas) return betaSigmas(steps, low, high);
  return null;
}

function terminalSigma(
  { finalSigmasType }: EulerDiscreteSchedulerConfig,
  table: Float32Array,
): number {
  switch (finalSigmasType) {
    case 'zero':
      return 0;
    case 'sigma_min':
      return table[0]!;
    default:
      throw new Error(
        `\`finalSigmasType\` must be one of 'zero', or 'sigma_min', but got ${finalSigmasType}`,
      );
  }
}

/**
 * The schedule of a run.
 * @param table Training sigmas, ascending.
 * @param steps Number of steps, or null with a custom schedule.
 * @throws When not exactly one of `steps`, timesteps and sigmas is set, when the configuration does
 * not allow it, or when an option of it is unknown.
 */
export function makeSchedule(
  config: EulerDiscreteSchedulerConfig,
  table: Float32Array,
  steps: number | null,
  custom: CustomSchedule,
): Schedule {
  checkRequest(config, steps, custom);
  const logTable = table.map(Math.log);
  let sigmas: Float32Array;
  let timesteps: Float32Array;
  if (custom.sigmas) {
    sigmas = Float32Array.from(custom.sigmas);
    timesteps = sigmas.slice(0, -1).map((sigma) => sigmaToTimestep(sigma, logTable, Math.fround));
  } else {
    const count = steps ?? custom.timesteps!.length;
    timesteps = custom.timesteps
      ? Float32Array.from(custom.timesteps)
      : spacedTimesteps(config, count);
    const plain = plainSigmas(config, timesteps, count, table);
    const special = specialSigmas(config, plain, count);
    if (special)
      timesteps = Float32Array.from(special, (sigma) => sigmaToTimestep(sigma, logTable));
    sigmas = Float32Array.from([...(special ?? plain), terminalSigma(config, table)]);
  }
  return {
    sigmas,
    timesteps: isContinuous(config) ? continuousTimesteps(sigmas.slice(0, -1)) : timesteps,
  };
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
