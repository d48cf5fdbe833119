/**
 * The schedule of one sampling run: its noise levels and the model's timestep at each
 * (`EulerDiscreteScheduler.set_timesteps` of diffusers).
 */
import { type CustomSchedule, checkNumbers, checkRequest } from '../customSchedule.ts';
import {
  betaSigmas,
  exponentialSigmas,
  interpolateSigmas,
  karrasSigmas,
  logLinearSigmas,
  sigmaToTimestep,
} from '../sigmas.ts';
import type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';
import { leadingTimesteps, linspaceTimesteps, trailingTimesteps } from './timesteps.ts';

/** Noise levels, the terminal one last, and the model's timestep at each but the last. */
export interface Schedule {
  sigmas: Float32Array;
  timesteps: Float32Array;
}

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

/** @throws When the configuration cannot follow custom timesteps, or they are not sensible. */
function checkTimesteps(config: EulerDiscreteSchedulerConfig, timesteps: readonly number[]): void {
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
  checkRequest(steps, custom);
  if (custom.timesteps) checkTimesteps(config, custom.timesteps);
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
