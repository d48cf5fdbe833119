/**
 * The configuration of `EulerDiscreteScheduler`: its type, its defaults (diffusers' class
 * defaults), and its `scheduler_config.json`.
 */
import { flag, type Kind, listOf, number, text, whole } from '../../text/kinds.ts';
import type { ConfigTable } from '../config.ts';

/** Options of `EulerDiscreteScheduler`, with diffusers' names in camelCase. */
export interface EulerDiscreteSchedulerConfig {
  /** The number of steps in training. Default 1000. */
  numTrainTimesteps: number;
  /** First beta of the training schedule. Default 0.0001. */
  betaStart: number;
  /** Last beta of the training schedule. Default 0.02. */
  betaEnd: number;
  /** How betas go from first to last. Default `linear`. */
  betaSchedule: 'linear' | 'scaled_linear' | 'squaredcos_cap_v2';
  /**
   * The betas of the training schedule, instead of the three options above. Default: none.
   */
  trainedBetas: number[] | null;
  /**
   * The model's output: the noise, the clean sample (two names), or the velocity. Default
   * `epsilon`.
   */
  predictionType: 'epsilon' | 'sample' | 'original_sample' | 'v_prediction';
  /** How noise levels between training steps are found. Default `linear`. */
  interpolationType: 'linear' | 'log_linear';
  /** Noise levels of Karras et al. 2022. Default `false`; at most one of the three kinds. */
  useKarrasSigmas: boolean;
  /** Noise levels with evenly spaced logarithms. Default `false`. */
  useExponentialSigmas: boolean;
  /** Noise levels at the quantiles of a beta distribution. Default `false`. */
  useBetaSigmas: boolean;
  /** Lowest noise level of these three kinds. Default: the last of the plain schedule. */
  sigmaMin: number | null;
  /** Highest noise level of these three kinds. Default: the first of the plain schedule. */
  sigmaMax: number | null;
  /** The rule by which a run chooses training steps. Default `linspace`. */
  timestepSpacing: 'linspace' | 'leading' | 'trailing';
  /**
   * The model's timestep: the training step, or (with `v_prediction`) a quarter of the logarithm of
   * the noise level. Default `discrete`.
   */
  timestepType: 'discrete' | 'continuous';
  /** Added to the steps of the `leading` spacing. Default 0. */
  stepsOffset: number;
  /** Rescales the training schedule so that its last step leaves no signal. Default `false`. */
  rescaleBetasZeroSnr: boolean;
  /**
   * The noise level after the last step: none, or that of the first training step. Default `zero`.
   */
  finalSigmasType: 'zero' | 'sigma_min';
}

const DEFAULTS: EulerDiscreteSchedulerConfig = {
  numTrainTimesteps: 1000,
  betaStart: 0.0001,
  betaEnd: 0.02,
  betaSchedule: 'linear',
  trainedBetas: null,
  predictionType: 'epsilon',
  interpolationType: 'linear',
  useKarrasSigmas: false,
  useExponentialSigmas: false,
  useBetaSigmas: false,
  sigmaMin: null,
  sigmaMax: null,
  timestepSpacing: 'linspace',
  timestepType: 'discrete',
  stepsOffset: 0,
  rescaleBetasZeroSnr: false,
  finalSigmasType: 'zero',
};

const level = number({ min: 0, max: 1e6 });
const beta = number({ min: 0, max: 1 });
const MOST_STEPS = 100_000;

/**
 * The values that options may have. Of a string, only that it is one: the code that uses it checks
 * which, with diffusers' message.
 */
const schedulerRules: Record<keyof EulerDiscreteSchedulerConfig, Kind> = {
  numTrainTimesteps: whole(1, MOST_STEPS),
  betaStart: beta,
  betaEnd: beta,
  betaSchedule: text,
  trainedBetas: listOf(beta, 2, MOST_STEPS),
  predictionType: text,
  interpolationType: text,
  useKarrasSigmas: flag,
  useExponentialSigmas: flag,
  useBetaSigmas: flag,
  sigmaMin: level,
  sigmaMax: level,
  timestepSpacing: text,
  timestepType: text,
  stepsOffset: whole(-MOST_STEPS, MOST_STEPS),
  rescaleBetasZeroSnr: flag,
  finalSigmasType: text,
};

/** The configuration of `EulerDiscreteScheduler`. */
export const eulerDiscreteTable: ConfigTable<EulerDiscreteSchedulerConfig> = {
  className: 'EulerDiscreteScheduler',
  defaults: DEFAULTS,
  rules: schedulerRules,
};
