/** The sampler of a call, and the noise levels that it visits. */
import { alignYourSteps, type Scheduler } from '../../schedulers/index.ts';
import { shown } from '../../text/messages.ts';
import type { CallSettings } from '../settings.ts';

/** A call, with the sampler that the pipeline had when it was made. */
export type SampledCall = CallSettings & { scheduler: Scheduler };

/** @throws Error if `scheduler` is no sampler that a pipeline can use. */
export function checkScheduler(scheduler: Scheduler): void {
  const methods = ['setTimesteps', 'scaleModelInput', 'step', 'toConfig', 'dispose'];
  const has = (name: string) => typeof Reflect.get(scheduler, name) === 'function';
  if (typeof scheduler === 'object' && scheduler !== null && methods.every(has)) return;
  throw new Error(
    `\`scheduler\` has to be a scheduler, such as \`schedulerByName('dpmpp-2m')\`, but is ` +
      `${shown(scheduler)}.`,
  );
}

/**
 * Sets the schedule of a call.
 * @throws Error if its sampler cannot follow it.
 */
export function setSchedule(
  scheduler: Scheduler,
  {
    sigmas,
    schedule,
    numInferenceSteps,
  }: Pick<CallSettings, 'sigmas' | 'schedule' | 'numInferenceSteps'>,
): void {
  const levels = schedule === 'ays' ? alignYourSteps(numInferenceSteps) : sigmas;
  scheduler.setTimesteps(levels ? null : numInferenceSteps, { sigmas: levels });
  const [first, ...others] = scheduler.timesteps;
  // A run finds its first step by the timestep and would begin at the second of them.
  if (others.includes(first))
    throw new Error(
      `The first noise level, ${scheduler.sigmas[0]}, comes again later in the schedule, which a ` +
        'run cannot follow to its end. Choose noise levels that all differ.',
    );
}
