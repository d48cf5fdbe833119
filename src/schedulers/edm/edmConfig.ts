/**
 * The configurations of schedulers in EDM's parametrisation: types, diffusers' class defaults, and
 * rules. None of the defaults of a noise level fits Stable Video Diffusion.
 */
import { flag, type Kind, number, oneOf, whole } from '../../text/kinds.ts';
import { type ConfigTable, type NameOf, problemIn } from '../config.ts';
import { ANIMATELCM_STEPS } from '../names.ts';

/** The range of the noise. */
interface NoiseConfig {
  /** Lowest noise level. Default 0.002, also that of Stable Video Diffusion. */
  sigmaMin: number;
  /** Highest noise level. Default 80; of Stable Video Diffusion 700. */
  sigmaMax: number;
  /** Standard deviation of the data. Default 0.5; of Stable Video Diffusion 1. */
  sigmaData: number;
  /** The curve of a Karras schedule. Default 7. */
  rho: number;
}

/** Options of `EDMEulerScheduler`, with diffusers' names in camelCase. */
export interface EDMEulerSchedulerConfig extends NoiseConfig {
  /** Noise levels of Karras et al. 2022, or evenly spaced logarithms. Default `karras`. */
  sigmaSchedule: 'karras' | 'exponential';
  /** The number of steps in training. Default 1000. */
  numTrainTimesteps: number;
  /** The model's output. Default `epsilon`; of Stable Video Diffusion `v_prediction`. */
  predictionType: 'epsilon' | 'v_prediction';
  /** The noise level after the last step: none, or the lowest. Default `zero`. */
  finalSigmasType: 'zero' | 'sigma_min';
}

/** Options of `EDMDPMSolverMultistepScheduler`, with diffusers' names in camelCase. */
export interface EDMDPMSolverMultistepSchedulerConfig extends EDMEulerSchedulerConfig {
  /** Order of the solver: how many of the latest model outputs a step uses. Default 2. */
  solverOrder: 1 | 2 | 3;
  /** Dynamic thresholding, which is for models of pixels and not supported. Default `false`. */
  thresholding: boolean;
  /** An option of thresholding. Default 0.995. */
  dynamicThresholdingRatio: number;
  /** An option of thresholding. Default 1. */
  sampleMaxValue: number;
  /** The differential equation without noise, or with fresh noise in each step. */
  algorithmType: 'dpmsolver++' | 'sde-dpmsolver++';
  /** The form of the second order. Default `midpoint`. */
  solverType: 'midpoint' | 'heun';
  /** Whether the last steps of a run below 15 steps are of lower order. Default `true`. */
  lowerOrderFinal: boolean;
  /** Whether the last step is of first order. Default `false`. */
  eulerAtFinal: boolean;
}

/** Options of `AnimateLCMSVDStochasticIterativeScheduler`, with the reference's in camelCase. */
export interface AnimateLCMSVDStochasticIterativeSchedulerConfig extends NoiseConfig {
  /** The number of steps in training, and the most of a run. Default 40. */
  numTrainTimesteps: number;
  /** Scales the noise that each step adds. Default 1. */
  sNoise: number;
  /** Whether clean samples are cut off at -1 and 1. Default `true`; for SVD `false`. */
  clipDenoised: boolean;
}

const MOST_STEPS = 100_000;

/** Above 0, because schedules and models take logarithms. */
const level = number({ above: 0, max: 1e6 });
const noise = { sigmaMin: 0.002, sigmaMax: 80, sigmaData: 0.5, rho: 7 };
const noiseRules = {
  ...{ sigmaMin: level, sigmaMax: level, sigmaData: level },
  rho: number({ above: 0, max: 100 }),
};

const range = ({ sigmaMin, sigmaMax }: NoiseConfig, nameOf: NameOf) =>
  sigmaMin > sigmaMax
    ? `${nameOf('sigmaMin')} is ${sigmaMin}, more than ${nameOf('sigmaMax')}, which is ${sigmaMax}`
    : undefined;

const eulerDefaults: EDMEulerSchedulerConfig = {
  ...noise,
  sigmaSchedule: 'karras',
  numTrainTimesteps: 1000,
  predictionType: 'epsilon',
  finalSigmasType: 'zero',
};

const eulerRules: Record<keyof EDMEulerSchedulerConfig, Kind> = {
  ...noiseRules,
  sigmaSchedule: oneOf('karras', 'exponential'),
  numTrainTimesteps: whole(1, MOST_STEPS),
  predictionType: oneOf('epsilon', 'v_prediction'),
  finalSigmasType: oneOf('zero', 'sigma_min'),
};

/** The configuration of `EDMEulerScheduler`. */
export const edmEulerTable: ConfigTable<EDMEulerSchedulerConfig> = {
  className: 'EDMEulerScheduler',
  defaults: eulerDefaults,
  rules: eulerRules,
  problem: range,
};

/** The configuration of `EDMDPMSolverMultistepScheduler`. */
export const edmSolverTable: ConfigTable<EDMDPMSolverMultistepSchedulerConfig> = {
  className: 'EDMDPMSolverMultistepScheduler',
  defaults: {
    ...eulerDefaults,
    solverOrder: 2,
    ...{ thresholding: false, dynamicThresholdingRatio: 0.995, sampleMaxValue: 1 },
    algorithmType: 'dpmsolver++',
    solverType: 'midpoint',
    lowerOrderFinal: true,
    eulerAtFinal: false,
  },
  rules: {
    ...eulerRules,
    solverOrder: whole(1, 3),
    thresholding: {
      is: 'false: thresholding is for models of pixels',
      test: (value) => value === false,
    },
    dynamicThresholdingRatio: number({ min: 0, max: 1 }),
    sampleMaxValue: number({ min: 0 }),
    algorithmType: oneOf('dpmsolver++', 'sde-dpmsolver++'),
    solverType: oneOf('midpoint', 'heun'),
    lowerOrderFinal: flag,
    eulerAtFinal: flag,
  },
  problem: (config, nameOf) =>
    config.algorithmType === 'sde-dpmsolver++' && config.solverOrder === 3
      ? `${nameOf('solverOrder')} is 3, but ${nameOf('algorithmType')} sde-dpmsolver++ has the ` +
        'orders 1 and 2'
      : range(config, nameOf),
};

/** The configuration of `AnimateLCMSVDStochasticIterativeScheduler`. */
export const animateLCMTable: ConfigTable<AnimateLCMSVDStochasticIterativeSchedulerConfig> = {
  className: 'AnimateLCMSVDStochasticIterativeScheduler',
  defaults: { numTrainTimesteps: ANIMATELCM_STEPS, ...noise, sNoise: 1, clipDenoised: true },
  rules: {
    ...noiseRules,
    numTrainTimesteps: whole(2, MOST_STEPS),
    sNoise: number({ min: 0, max: 100 }),
    clipDenoised: flag,
  },
  problem: range,
};

/** What is wrong with a `scheduler_config.json` that names one of these classes. */
export function edmProblem(json: Record<string, unknown>): string | undefined {
  const problems: Record<string, () => string | undefined> = {
    [edmEulerTable.className]: () => problemIn(edmEulerTable, json),
    [edmSolverTable.className]: () => problemIn(edmSolverTable, json),
    [animateLCMTable.className]: () => problemIn(animateLCMTable, json),
  };
  return problems[`${json._class_name}`]?.();
}
