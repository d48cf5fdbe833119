/**
 * The sampler of AnimateLCM-SVD, whose model predicts the clean video from any noise level
 * (`AnimateLCMSVDStochasticIterativeScheduler` of G-U-N/AnimateLCM).
 */
import * as tf from '@tensorflow/tfjs-core';
import { checkOptions, checkOptionValues } from '../../text/options.ts';
import { configFromJson } from '../config.ts';
import { type CustomSchedule, checkRequest } from '../customSchedule.ts';
import {
  ScheduledRun,
  type StepOptions,
  type StepOutput,
  stepNoise,
  stepOptionKinds,
  type Warn,
} from '../scheduler.ts';
import { karrasSigma } from '../sigmas.ts';
import {
  type AnimateLCMSVDStochasticIterativeSchedulerConfig,
  animateLCMTable,
} from './edmConfig.ts';
import { denoised, noisyDeviation } from './preconditioning.ts';

/**
 * Multistep sampling of a consistency model: each step predicts the clean sample and adds noise of
 * the next level. It visits some of the noise levels of training.
 */
export class AnimateLCMSVDStochasticIterativeScheduler extends ScheduledRun<
  AnimateLCMSVDStochasticIterativeSchedulerConfig,
  Float64Array
> {
  /**
   * @param options The options that differ from the reference's class defaults.
   * @param warn Receives warnings, each once. Default: `console.warn`.
   * @throws When an option is unknown, or a value is not allowed.
   */
  constructor(
    options: Partial<AnimateLCMSVDStochasticIterativeSchedulerConfig> = {},
    warn: Warn = console.warn,
  ) {
    super(animateLCMTable, options, warn);
    this.visit(Array.from({ length: this.config.numTrainTimesteps }, (_, i) => i));
  }

  /**
   * Makes a scheduler from a parsed `scheduler_config.json`. Unknown keys are ignored.
   * @throws When a value is not allowed.
   */
  static fromConfig(
    json: Record<string, unknown>,
    warn?: Warn,
  ): AnimateLCMSVDStochasticIterativeScheduler {
    return new AnimateLCMSVDStochasticIterativeScheduler(
      configFromJson(animateLCMTable, json),
      warn,
    );
  }

  /** Standard deviation of the start noise. */
  get initNoiseSigma(): number {
    return Math.hypot(this.config.sigmaMax, 1);
  }

  /**
   * Makes the schedule of a run and forgets the current step. Pass a number of steps, which visit
   * every so many of the noise levels of training, or `timesteps`: their indices, descending.
   * @throws When there are more steps than in training, the indices are no such ones, or sigmas are
   * passed, because the model knows no others than those of training.
   */
  setTimesteps(numInferenceSteps: number | null = null, custom: CustomSchedule = {}): void {
    checkOptions('setTimesteps', custom, ['timesteps', 'sigmas']);
    if (custom.sigmas) {
      throw new Error(
        '`sigmas` and schedules are not for AnimateLCM, whose model knows the ' +
          `${this.length} noise levels of its training: choose \`numInferenceSteps\` instead.`,
      );
    }
    checkRequest(numInferenceSteps, custom);
    const indices = custom.timesteps
      ? this.indicesOf(custom.timesteps)
      : this.spread(numInferenceSteps!);
    this.visit(indices);
    this.numInferenceSteps = indices.length;
  }

  /** Evenly spread indices of training steps, ascending. */
  private spread(steps: number): number[] {
    const all = this.length;
    if (steps > all) {
      throw new Error(
        `\`numInferenceSteps\` (--num-inference-steps) has to be at most ${all} for AnimateLCM, ` +
          `the steps of its training, but is ${steps}. Usual are 4 to 8.`,
      );
    }
    const stride = Math.floor(all / steps);
    if (stride === 1 && steps < all) {
      this.warnOnce(
        `AnimateLCM takes the first ${steps} of its ${all} noise levels for ${steps} steps, which ` +
          `end at ${this.sigmaOf(steps - 1).toPrecision(2)}, so that much of the noise is left to ` +
          `the last one. Usual are 4 to 8 steps, and ${Math.floor(all / 2)} or ${all} use all levels.`,
      );
    }
    return Array.from({ length: steps }, (_, i) => i * stride);
  }

  /** The indices of custom timesteps, ascending. */
  private indicesOf(timesteps: readonly number[]): number[] {
    const most = this.length - 1;
    const isIndex = (t: number) => Number.isInteger(t) && t >= 0 && t <= most;
    const descends = timesteps.every((t, i) => i === 0 || t < timesteps[i - 1]!);
    if (timesteps.length === 0 || !timesteps.every(isIndex) || !descends) {
      throw new Error(
        `\`timesteps\` have to be whole numbers from ${most} down to 0, in descending order, but ` +
          `are [${timesteps.join(', ')}].`,
      );
    }
    return [...timesteps].reverse();
  }

  private sigmaOf(index: number): number {
    const { sigmaMin, sigmaMax, rho } = this.config;
    return karrasSigma(index / (this.length - 1), sigmaMin, sigmaMax, rho);
  }

  /** Begins a run through the noise levels of training steps, whose indices ascend. */
  private visit(indices: readonly number[]): void {
    const sigmas = indices.map((index) => this.sigmaOf(index));
    // In double precision, before the levels are rounded, as in the reference.
    const timesteps = Float64Array.from(sigmas, (sigma) => 0.25 * Math.log(sigma + 1e-44));
    this.begin(Float32Array.of(...sigmas, 0), timesteps);
  }

  protected inputScale(sigma: number): number {
    return noisyDeviation(sigma, this.config.sigmaData);
  }

  /**
   * Takes the sample to the next noise level. Draws noise in every step, also in the last, but none
   * in a run of one step.
   * @param modelOutput The model's output for the scaled sample.
   * @param timestep One of `timesteps`.
   * @param sample The sample before scaling, of the same shape, channels-last.
   * @throws When the timestep is not in the schedule, or the schedule has ended.
   */
  step(
    modelOutput: tf.Tensor,
    timestep: number,
    sample: tf.Tensor,
    options: StepOptions = {},
  ): StepOutput {
    checkOptionValues('step', options, stepOptionKinds);
    const { sigmaData, sigmaMax, sNoise, clipDenoised } = this.config;
    return this.takeStep(timestep, (_, sigma, sigmaNext) => {
      const unclipped = denoised(modelOutput, sample, sigma, sigmaData, 'v_prediction');
      const clean = clipDenoised ? tf.clipByValue(unclipped, -1, 1) : unclipped;
      if (this.timesteps.length === 1)
        return { prevSample: tf.clone(clean), predOriginalSample: clean };
      const level = sNoise * Math.min(sigmaNext, sigmaMax);
      const noise = tf.mul(stepNoise(sample, options), level);
      return { prevSample: tf.add(clean, noise), predOriginalSample: clean };
    });
  }
}
