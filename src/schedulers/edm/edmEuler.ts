/** Euler's method in EDM's parametrisation (`diffusers.EDMEulerScheduler`). */
import type * as tf from '@tensorflow/tfjs-core';
import { checkOptionValues } from '../../text/options.ts';
import { configFromJson } from '../config.ts';
import { churnedStep, type EulerStepOptions, eulerStepKinds } from '../euler/eulerStep.ts';
import type { StepOutput, Warn } from '../scheduler.ts';
import { type EDMEulerSchedulerConfig, edmEulerTable } from './edmConfig.ts';
import { EDMScheduler } from './edmScheduler.ts';
import { denoised } from './preconditioning.ts';

/** Euler's method along the noise levels of a schedule (Karras et al. 2022, algorithm 2). */
export class EDMEulerScheduler extends EDMScheduler<EDMEulerSchedulerConfig> {
  /**
   * @param options The options that differ from diffusers' class defaults.
   * @param warn Receives warnings, each once. Default: `console.warn`.
   * @throws When an option is unknown, or a value is not allowed.
   */
  constructor(options: Partial<EDMEulerSchedulerConfig> = {}, warn: Warn = console.warn) {
    super(edmEulerTable, options, warn);
    this.follow(this.schedule(this.config.numTrainTimesteps + 1));
  }

  /**
   * Makes a scheduler from a parsed `scheduler_config.json`. Unknown keys are ignored.
   * @throws When a value is not allowed.
   */
  static fromConfig(json: Record<string, unknown>, warn?: Warn): EDMEulerScheduler {
    return new EDMEulerScheduler(configFromJson(edmEulerTable, json), warn);
  }

  protected lowestSigma(sigmas: readonly number[]): number {
    return sigmas[sigmas.length - 1]!;
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
    const { sigmaData, predictionType } = this.config;
    return this.takeStep(timestep, (_, sigma, sigmaNext) =>
      churnedStep(sample, [sigma, sigmaNext], this.timesteps.length, options, (noisy, sigmaHat) =>
        denoised(modelOutput, noisy, sigmaHat, sigmaData, predictionType),
      ),
    );
  }
}
