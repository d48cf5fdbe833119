/**
 * The sampler of Stable Video Diffusion (`diffusers.EulerDiscreteScheduler`). It holds numbers
 * only; tensors pass through pure functions.
 */
import * as tf from '@tensorflow/tfjs-core';
import { checkOptions, checkOptionValues } from '../../text/options.ts';
import { configFromJson } from '../config.ts';
import { type CustomSchedule, scheduleWarnings } from '../customSchedule.ts';
import { perSample, ScheduledRun, type StepOutput, type Warn } from '../scheduler.ts';
import { alphasCumprodOf, rescaleZeroTerminalSnr, trainingBetas, trainSigmas } from './betas.ts';
import { type EulerDiscreteSchedulerConfig, eulerDiscreteTable } from './eulerDiscreteConfig.ts';
import { continuousTimesteps, isContinuous, makeSchedule } from './eulerSchedule.ts';
import {
  churnedStep,
  type EulerStepOptions,
  eulerStepKinds,
  inputScale,
  predictOriginalSample,
} from './eulerStep.ts';

const f32 = Math.fround;

/**
 * Euler's method along the noise levels of a schedule (Karras et al. 2022, algorithm 2). Call
 * `setTimesteps`, scale the start noise by `initNoiseSigma`, and for each of `timesteps`:
 * `scaleModelInput`, the model, `step`.
 */
export class EulerDiscreteScheduler extends ScheduledRun<EulerDiscreteSchedulerConfig> {
  /** Betas of the training schedule. */
  readonly betas: Float32Array;
  /** The share of the signal that is left after each training step. */
  readonly alphasCumprod: Float32Array;
  private readonly table: Float32Array;

  /**
   * @param options The options that differ from diffusers' class defaults.
   * @param warn Receives warnings, each once. Default: `console.warn`.
   * @throws When an option has a wrong type, the beta schedule is unknown, or more than one kind of
   * sigmas is chosen.
   */
  constructor(options: Partial<EulerDiscreteSchedulerConfig> = {}, warn: Warn = console.warn) {
    super(eulerDiscreteTable, options, warn);
    const { config } = this;
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
    return new EulerDiscreteScheduler(configFromJson(eulerDiscreteTable, json), warn);
  }

  /** Standard deviation of the start noise under the current schedule. */
  get initNoiseSigma(): number {
    const highest = this.sigmas.reduce((a, b) => Math.max(a, b));
    return this.config.timestepSpacing === 'leading' ? inputScale(highest) : highest;
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
    this.begin(sigmas, timesteps);
  }

  protected inputScale(sigma: number): number {
    return inputScale(sigma);
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
  ): StepOutput {
    checkOptionValues('step', options, eulerStepKinds);
    return this.takeStep(timestep, (_, sigma, sigmaNext) =>
      churnedStep(sample, [sigma, sigmaNext], this.sigmas.length - 1, options, (noisy, sigmaHat) =>
        predictOriginalSample(modelOutput, noisy, sigma, sigmaHat, this.config.predictionType),
      ),
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
}
