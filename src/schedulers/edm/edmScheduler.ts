/** What both schedulers of diffusers in EDM's parametrisation have in common. */
import { checkOptions } from '../../text/options.ts';
import { type CustomSchedule, checkRequest, scheduleWarnings } from '../customSchedule.ts';
import { continuousTimesteps } from '../euler/eulerSchedule.ts';
import { ScheduledRun } from '../scheduler.ts';
import type { EDMEulerSchedulerConfig } from './edmConfig.ts';
import { edmSigmas, noisyDeviation } from './preconditioning.ts';

/** A scheduler whose model has continuous timesteps, a quarter of the logarithm of the noise. */
export abstract class EDMScheduler<
  Config extends EDMEulerSchedulerConfig,
> extends ScheduledRun<Config> {
  /** The highest of custom sigmas; null for a schedule of the configuration. */
  private highest: number | null = null;

  /** The noise level after the last step of a schedule, if that is not to end at 0. */
  protected abstract lowestSigma(sigmas: readonly number[]): number;

  /** Standard deviation of the start noise under the current schedule. */
  get initNoiseSigma(): number {
    return Math.hypot(this.highest ?? this.config.sigmaMax, 1);
  }

  /**
   * Makes the schedule of a run and forgets the current step. Custom sigmas are taken as they are,
   * which diffusers cannot do; those that do not descend to 0 cause a warning.
   * @throws When not exactly one of a number of steps and sigmas is set, or it is not sensible.
   */
  setTimesteps(
    numInferenceSteps: number | null = null,
    custom: Pick<CustomSchedule, 'sigmas'> = {},
  ): void {
    checkOptions('setTimesteps', custom, ['sigmas']);
    checkRequest(numInferenceSteps, custom);
    const { sigmas } = custom;
    for (const message of sigmas ? scheduleWarnings(sigmas) : []) this.warnOnce(message);
    this.highest = sigmas ? Math.max(...sigmas) : null;
    this.follow(sigmas ? Float32Array.from(sigmas) : this.schedule(numInferenceSteps!));
    this.numInferenceSteps = this.timesteps.length;
  }

  /** Begins a run along noise levels. */
  protected follow(sigmas: Float32Array): void {
    this.begin(sigmas, continuousTimesteps(sigmas.slice(0, -1)));
  }

  /** The noise levels of so many steps, the terminal one last. */
  protected schedule(steps: number): Float32Array {
    const sigmas = edmSigmas(this.config, steps);
    const isZero = this.config.finalSigmasType === 'zero';
    return Float32Array.of(...sigmas, isZero ? 0 : this.lowestSigma(sigmas));
  }

  protected inputScale(sigma: number): number {
    return noisyDeviation(sigma, this.config.sigmaData);
  }
}
