/**
 * The sampler of Stable Video Diffusion (`diffusers.EulerDiscreteScheduler`). It holds numbers
 * only; tensors pass through pure functions.
 */
import * as tf from '@tensorflow/tfjs-core';
import { Generator } from '../random/generator.ts';
import { generatorKind, randnTensor, toChannelsFirst } from '../random/randnTensor.ts';
import { checkOptions, checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { alphasCumprodOf, rescaleZeroTerminalSnr, trainingBetas, trainSigmas } from './betas.ts';
import {
  completeConfig,
  configFromJson,
  configToJson,
  type EulerDiscreteSchedulerConfig,
} from './eulerDiscreteConfig.ts';
import {
  type CustomSchedule,
  continuousTimesteps,
  isContinuous,
  makeSchedule,
  scheduleWarnings,
} from './eulerSchedule.ts';
import { churn, eulerStep, inputScale, predictOriginalSample } from './eulerStep.ts';

const f32 = Math.fround;

/** Options of `step`: Karras et al.'s churn, which adds fresh noise before the step. */
export interface EulerStepOptions {
  /** Amount of churn over the whole run; 0 adds none. Default 0. */
  sChurn?: number;
  /** Lowest noise level that is churned. Default 0. */
  sTmin?: number;
  /** Highest noise level that is churned. Default: no limit. */
  sTmax?: number;
  /** Standard deviation of the added noise before scaling. Default 1. */
  sNoise?: number;
  /**
   * Source of the added noise, drawn in diffusers' axis order for a channels-last sample. Default:
   * a new one with a random seed.
   */
  generator?: Generator | readonly Generator[];
  /** The added noise itself, of the sample's shape, instead of a generator. */
  noise?: tf.Tensor;
}

const { number, limit } = kinds;
const stepOptionKinds: Kinds<EulerStepOptions> = {
  ...{ sChurn: number, sTmin: limit, sTmax: limit, sNoise: number },
  ...{ generator: generatorKind, noise: kinds.object },
};

/** The result of `step`. The caller disposes of both tensors. */
export interface EulerStepOutput {
  /** The sample at the next noise level. */
  prevSample: tf.Tensor;
  /** The clean sample that follows from the model's output. */
  predOriginalSample: tf.Tensor;
}

/** A function that receives a warning: one sentence for the user. */
export type Warn = (message: string) => void;

/**
 * Euler's method along the noise levels of a schedule (Karras et al. 2022, algorithm 2). Call
 * `setTimesteps`, scale the start noise by `initNoiseSigma`, and for each of `timesteps`:
 * `scaleModelInput`, the model, `step`.
 */
export class EulerDiscreteScheduler {
  /** The configuration with defaults filled in. */
  readonly config: Readonly<EulerDiscreteSchedulerConfig>;
  /** Order of the solver: model calls per step. */
  readonly order = 1;
  /** Betas of the training schedule. */
  readonly betas: Float32Array;
  /** The share of the signal that is left after each training step. */
  readonly alphasCumprod: Float32Array;
  /**
   * Noise levels of the run, the terminal one last; those of the whole training schedule before
   * `setTimesteps`.
   */
  sigmas: Float32Array;
  /** The model's timestep input at each step. */
  timesteps: Float32Array;
  /** Steps of the run; null before `setTimesteps`. */
  numInferenceSteps: number | null = null;
  private readonly table: Float32Array;
  private readonly warn: Warn;
  private currentIndex: number | null = null;
  private firstIndex: number | null = null;
  private readonly warned = new Set<string>();
  private inputWasScaled = false;

  /**
   * @param options The options that differ from diffusers' class defaults.
   * @param warn Receives warnings, each once. Default: `console.warn`.
   * @throws When an option has a wrong type, the beta schedule is unknown, or more than one kind of
   * sigmas is chosen.
   */
  constructor(options: Partial<EulerDiscreteSchedulerConfig> = {}, warn: Warn = console.warn) {
    const config = completeConfig(options);
    if (
      [config.useBetaSigmas, config.useExponentialSigmas, config.useKarrasSigmas].filter(Boolean)
        .length > 1
    ) {
      throw new Error(
        'Only one of `config.useBetaSigmas`, `config.useExponentialSigmas`, ' +
          '`config.useKarrasSigmas` can be used.',
      );
    }
    const betas = trainingBetas(config);
    this.config = config;
    this.warn = warn;
    this.betas = config.rescaleBetasZeroSnr ? rescaleZeroTerminalSnr(betas) : betas;
    this.alphasCumprod = alphasCumprodOf(this.betas);
    // Not 0, so that the first sigma is finite: the smallest number of half precision.
    if (config.rescaleBetasZeroSnr) this.alphasCumprod[this.alphasCumprod.length - 1] = 2 ** -24;

    this.table = trainSigmas(this.alphasCumprod);
    const descending = this.table.slice().reverse();
    this.sigmas = Float32Array.of(...descending, 0);
    this.timesteps = isContinuous(config)
      ? continuousTimesteps(descending)
      : Float32Array.from(
          { length: config.numTrainTimesteps },
          (_, i) => config.numTrainTimesteps - 1 - i,
        );
  }

  /**
   * Makes a scheduler from a parsed `scheduler_config.json`. Unknown keys are ignored.
   * @throws When the constructor throws.
   */
  static fromConfig(json: Record<string, unknown>, warn?: Warn): EulerDiscreteScheduler {
    return new EulerDiscreteScheduler(configFromJson(json), warn);
  }

  /** The content of `scheduler_config.json`. */
  toConfig(): Record<string, unknown> {
    return configToJson(this.config);
  }

  /** Number of training steps, diffusers' `len(scheduler)`. */
  get length(): number {
    return this.config.numTrainTimesteps;
  }

  /** Standard deviation of the start noise under the current schedule. */
  get initNoiseSigma(): number {
    const highest = this.sigmas.reduce((a, b) => Math.max(a, b));
    return this.config.timestepSpacing === 'leading' ? inputScale(highest) : highest;
  }

  /** Index of the next step; null until the first `scaleModelInput` or `step`. */
  get stepIndex(): number | null {
    return this.currentIndex;
  }

  /** The index that `setBeginIndex` set, else null. */
  get beginIndex(): number | null {
    return this.firstIndex;
  }

  /** Begins the run at this index of the schedule, instead of at that of its first timestep. */
  setBeginIndex(beginIndex = 0): void {
    this.firstIndex = beginIndex;
  }

  /**
   * Makes the schedule of a run and forgets the current step. Pass exactly one of a number of
   * steps, `timesteps` and `sigmas`. Custom sigmas that do not descend to 0 cause a warning.
   * @throws When diffusers does, when a value is not a finite number, or when the spacing, the
   * interpolation or the final sigma is unknown.
   */
  setTimesteps(numInferenceSteps: number | null = null, custom: CustomSchedule = {}): void {
    checkOptions('setTimesteps', custom, ['timesteps', 'sigmas']);
    const { sigmas, timesteps } = makeSchedule(this.config, this.table, numInferenceSteps, custom);
    for (const message of custom.sigmas ? scheduleWarnings(custom.sigmas) : [])
      this.warnOnce(message);
    this.numInferenceSteps = numInferenceSteps ?? custom.timesteps?.length ?? sigmas.length - 1;
    this.sigmas = sigmas;
    this.timesteps = timesteps;
    this.currentIndex = null;
    this.firstIndex = null;
  }

  /**
   * The index of a timestep in the schedule. Of several equal ones it is the second, so that a run
   * that starts in the middle skips none. This is diffusers' rule: a schedule that repeats its
   * first timestep therefore loses a step and ends with an error.
   * @throws When the timestep is not in the schedule.
   */
  indexForTimestep(timestep: number, timesteps: ArrayLike<number> = this.timesteps): number {
    const values = Array.from(timesteps);
    const first = values.indexOf(timestep);
    if (first < 0) {
      throw new Error(
        `The timestep ${timestep} is not in the schedule. Make sure to pass one of the ` +
          '`scheduler.timesteps` as a timestep.',
      );
    }
    const second = values.indexOf(timestep, first + 1);
    return second < 0 ? first : second;
  }

  /** Scales a sample to unit variance for the model: `sample / sqrt(sigma^2 + 1)`. */
  scaleModelInput(sample: tf.Tensor, timestep: number): tf.Tensor {
    const sigma = this.sigmaAt(this.currentOrFirst(timestep));
    this.inputWasScaled = true;
    return tf.div(sample, inputScale(sigma));
  }

  /**
   * Takes the sample to the next noise level.
   * @param modelOutput The model's output for the scaled sample.
   * @param timestep One of `timesteps`.
   * @param sample The sample before scaling, of the same shape. If `step` draws noise, it has to be
   * channels-last.
   * @throws When the timestep is not in the schedule, or the schedule has ended.
   */
  step(
    modelOutput: tf.Tensor,
    timestep: number,
    sample: tf.Tensor,
    options: EulerStepOptions = {},
  ): EulerStepOutput {
    checkOptionValues('step', options, stepOptionKinds);
    const {
      sChurn = 0,
      sTmin = 0,
      sTmax = Number.POSITIVE_INFINITY,
      sNoise = 1,
      generator,
      noise,
    } = options;
    this.refuseIndices('step', [timestep]);
    if (!this.inputWasScaled) {
      this.warnOnce(
        'The `scaleModelInput` function should be called before `step` to ensure correct ' +
          'denoising.',
      );
    }
    const index = this.currentOrFirst(timestep);
    const [sigma, sigmaNext] = [this.sigmaAt(index), this.sigmaAt(index + 1)];

    const churned = f32(sTmin) <= sigma && sigma <= f32(sTmax);
    const gamma = churned ? Math.min(sChurn / (this.sigmas.length - 1), Math.SQRT2 - 1) : 0;
    const sigmaHat = f32(sigma * f32(gamma + 1));
    const output = tf.tidy(() => {
      let noisy = sample;
      if (gamma > 0) {
        const added =
          noise ?? randnTensor(generator ?? new Generator(), toChannelsFirst(sample.shape));
        noisy = churn(sample, added, sigma, sigmaHat, sNoise);
      }
      const predOriginalSample = predictOriginalSample(
        modelOutput,
        noisy,
        sigma,
        sigmaHat,
        this.config.predictionType,
      );
      return {
        prevSample: eulerStep(noisy, predOriginalSample, sigmaHat, sigmaNext),
        predOriginalSample,
      };
    });
    this.currentIndex = index + 1;
    return output;
  }

  /**
   * Adds noise of the level of each sample's timestep: `samples + noise * sigma`. After
   * `setBeginIndex`, the level is that of the current step, or before it of the first one.
   * @param timesteps One for each sample of the batch, or one for all.
   */
  addNoise(originalSamples: tf.Tensor, noise: tf.Tensor, timesteps: ArrayLike<number>): tf.Tensor {
    const indices = Array.from(timesteps, (t) =>
      this.firstIndex === null ? this.indexForTimestep(t) : (this.currentIndex ?? this.firstIndex),
    );
    const sigmas = indices.map((index) => this.sigmaAt(index));
    return tf.tidy(() =>
      tf.add(originalSamples, tf.mul(noise, perSample(sigmas, originalSamples.rank))),
    );
  }

  /**
   * The velocity between a sample and noise: `sqrt(a) * noise - sqrt(1 - a) * sample`, where `a` is
   * `alphasCumprod` at the index of the timestep in the schedule (as in diffusers, although the two
   * run in opposite directions).
   * @param timesteps One for each sample of the batch, or one for all.
   */
  getVelocity(sample: tf.Tensor, noise: tf.Tensor, timesteps: ArrayLike<number>): tf.Tensor {
    this.refuseIndices('getVelocity', Array.from(timesteps));
    const alphas = Array.from(timesteps, (t) => this.alphasCumprod[this.indexForTimestep(t)]!);
    return tf.tidy(() => {
      const signal = perSample(alphas.map(Math.sqrt), sample.rank);
      const rest = perSample(
        alphas.map((alpha) => Math.sqrt(f32(1 - alpha))),
        sample.rank,
      );
      return tf.sub(tf.mul(signal, noise), tf.mul(rest, sample));
    });
  }

  private warnOnce(message: string): void {
    if (!this.warned.has(message)) this.warn(message);
    this.warned.add(message);
  }

  /** The index of the step to take, found from its timestep if it is the first. */
  private currentOrFirst(timestep: number): number {
    this.currentIndex ??= this.firstIndex ?? this.indexForTimestep(timestep);
    return this.currentIndex;
  }

  private sigmaAt(index: number): number {
    const sigma = this.sigmas[index];
    if (sigma === undefined) {
      throw new Error(
        `index ${index} is out of bounds for dimension 0 with size ${this.sigmas.length}: the ` +
          'schedule has ended. ' +
          'Call `setTimesteps` for another run, and use a schedule whose timesteps all differ.',
      );
    }
    return sigma;
  }

  /** Throws when a timestep looks like a counter: a whole number that is not in the schedule. */
  private refuseIndices(method: string, timesteps: number[]): void {
    if (timesteps.some((t) => Number.isInteger(t) && !this.timesteps.includes(t))) {
      throw new Error(
        'Passing integer indices (e.g. from `enumerate(timesteps)`) as timesteps to ' +
          `\`EulerDiscreteScheduler.${method}()\` is not supported. ` +
          'Make sure to pass one of the `scheduler.timesteps` as a timestep.',
      );
    }
  }
}

/** Numbers of the samples of a batch as a tensor `[B, 1, ...]`. */
function perSample(values: number[], rank: number): tf.Tensor {
  return tf.tensor(
    values,
    [values.length, ...new Array<number>(Math.max(rank - 1, 0)).fill(1)],
    'float32',
  );
}
