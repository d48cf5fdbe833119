/** DPM-Solver++ in EDM's parametrisation (`diffusers.EDMDPMSolverMultistepScheduler`). */
import * as tf from '@tensorflow/tfjs-core';
import { checkOptionValues } from '../../text/options.ts';
import { configFromJson } from '../config.ts';
import {
  type StepOptions,
  type StepOutput,
  stepNoise,
  stepOptionKinds,
  type Warn,
} from '../scheduler.ts';
import { type EDMDPMSolverMultistepSchedulerConfig, edmSolverTable } from './edmConfig.ts';
import { EDMScheduler } from './edmScheduler.ts';
import { denoised } from './preconditioning.ts';
import { solverWeights } from './solverWeights.ts';

/** Runs of fewer steps end with steps of lower order, if `lowerOrderFinal` is set. */
const FEW_STEPS = 15;

/**
 * A solver that uses the clean samples of the latest steps. It keeps their tensors until the run
 * has ended; `dispose` frees those of a run that stops before.
 */
export class EDMDPMSolverMultistepScheduler extends EDMScheduler<EDMDPMSolverMultistepSchedulerConfig> {
  /**
   * @param options The options that differ from diffusers' class defaults.
   * @param warn Receives warnings, each once. Default: `console.warn`.
   * @throws When an option is unknown, a value is not allowed, or `sde-dpmsolver++` is of order 3.
   */
  constructor(
    options: Partial<EDMDPMSolverMultistepSchedulerConfig> = {},
    warn: Warn = console.warn,
  ) {
    super(edmSolverTable, options, warn);
    this.follow(this.schedule(this.config.numTrainTimesteps));
  }

  /**
   * Makes a scheduler from a parsed `scheduler_config.json`. Unknown keys are ignored.
   * @throws When a value is not allowed, or `sde-dpmsolver++` is of order 3.
   */
  static fromConfig(json: Record<string, unknown>, warn?: Warn): EDMDPMSolverMultistepScheduler {
    return new EDMDPMSolverMultistepScheduler(configFromJson(edmSolverTable, json), warn);
  }

  protected lowestSigma(): number {
    return this.config.sigmaMin;
  }

  /**
   * Takes the sample to the next noise level. `sde-dpmsolver++` draws noise in every step.
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
    options: StepOptions = {},
  ): StepOutput {
    checkOptionValues('step', options, stepOptionKinds);
    const { sigmaData, predictionType, solverOrder, algorithmType } = this.config;
    return this.takeStep(timestep, (index, sigma, sigmaNext) => {
      const clean = denoised(modelOutput, sample, sigma, sigmaData, predictionType);
      const outputs = [...this.modelOutputs, clean];
      const order = Math.min(outputs.length, this.highestOrder(index, sigmaNext));
      const before = Array.from(this.sigmas.slice(index - order + 1, index)).reverse();
      const weights = solverWeights(this.config, sigmaNext, sigma, before);
      const latest = [...outputs].reverse();
      let next = tf.add(tf.mul(sample, weights.sample), tf.mul(clean, weights.output));
      for (const [i, weight] of weights.differences.entries())
        next = tf.add(next, tf.mul(tf.sub(latest[i]!, latest[i + 1]!), weight));
      if (algorithmType === 'sde-dpmsolver++')
        next = tf.add(next, tf.mul(stepNoise(sample, options), weights.noise));
      this.keepOutputs(outputs.slice(Math.max(0, outputs.length - solverOrder + 1)));
      return { prevSample: next, predOriginalSample: tf.clone(clean) };
    });
  }

  /** The order that the configuration allows at a step. */
  private highestOrder(index: number, sigmaNext: number): number {
    const { solverOrder, eulerAtFinal, lowerOrderFinal, finalSigmasType } = this.config;
    const steps = this.timesteps.length;
    const lowers = lowerOrderFinal && steps < FEW_STEPS;
    const endsAtZero = finalSigmasType === 'zero' || sigmaNext === 0;
    if (index === steps - 1 && (eulerAtFinal || lowers || endsAtZero)) return 1;
    return index === steps - 2 && lowers ? Math.min(solverOrder, 2) : solverOrder;
  }
}
