/** What the schedulers in EDM's parametrisation refuse, and what they warn of. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AnimateLCMSVDStochasticIterativeScheduler,
  EDMDPMSolverMultistepScheduler,
  EDMEulerScheduler,
  type Scheduler,
  schedulerByName,
} from '../../../src/schedulers/index.ts';

const samplers = {
  EDMEulerScheduler,
  EDMDPMSolverMultistepScheduler,
  AnimateLCMSVDStochasticIterativeScheduler,
};

describe('errors of schedulers in EDM’s parametrisation', () => {
  it('options and values that there are not', () => {
    const wrong: [keyof typeof samplers, object, string][] = [
      ['EDMEulerScheduler', { solverOrder: 2 }, '`EDMEulerScheduler` has no option `solverOrder`'],
      ['EDMEulerScheduler', { sigma_max: 9 }, 'has no option `sigma_max`. Use `sigmaMax`.'],
      ['AnimateLCMSVDStochasticIterativeScheduler', { predictionType: 'epsilon' }, 'has no option'],
      [
        'EDMEulerScheduler',
        { predictionType: 'sample' },
        'predictionType is "sample", not epsilon',
      ],
      [
        'EDMEulerScheduler',
        { sigmaSchedule: 'beta' },
        'sigmaSchedule is "beta", not karras or exp',
      ],
      ['EDMEulerScheduler', { sigmaMin: 0 }, 'sigmaMin is 0, not above 0'],
      ['EDMEulerScheduler', { sigmaMin: 90 }, 'sigmaMin is 90, more than sigmaMax, which is 80'],
      ['EDMDPMSolverMultistepScheduler', { solverOrder: 4 }, 'solverOrder is 4, more than 3'],
      [
        'EDMDPMSolverMultistepScheduler',
        { thresholding: true },
        'thresholding is for models of pix',
      ],
      [
        'EDMDPMSolverMultistepScheduler',
        { solverOrder: 3, algorithmType: 'sde-dpmsolver++' },
        "The scheduler's solverOrder is 3, but algorithmType sde-dpmsolver++ has the orders 1 and 2.",
      ],
      [
        'AnimateLCMSVDStochasticIterativeScheduler',
        { clipDenoised: 1 },
        'clipDenoised is 1, not true',
      ],
    ];
    for (const [name, options, message] of wrong)
      expect(() => new samplers[name](options)).to.throw(message);
    expect(() =>
      EDMDPMSolverMultistepScheduler.fromConfig({
        ...{ solver_order: 3, algorithm_type: 'sde-dpmsolver++' },
      }),
    ).to.throw("The scheduler's solver_order is 3, but algorithm_type sde-dpmsolver++ has");
  });

  it('schedules that they cannot follow', () => {
    const edm = schedulerByName('dpmpp-2m') as EDMDPMSolverMultistepScheduler;
    const lcm = schedulerByName('animatelcm');
    const wrong: [() => void, string][] = [
      [() => edm.setTimesteps(), 'Must pass exactly one of `numInferenceSteps`'],
      [() => edm.setTimesteps(5, { sigmas: [1, 0] }), 'Can only pass one of'],
      [() => edm.setTimesteps(0), '`numInferenceSteps` has to be a whole number of at least 1 but'],
      [() => edm.setTimesteps(null, { sigmas: [1, 0, 0] }), 'have to be above 0, but for the last'],
      [
        () => (edm as Scheduler).setTimesteps(null, { timesteps: [5, 1] }),
        '`setTimesteps` has no option `timesteps`',
      ],
      [
        () => lcm.setTimesteps(41),
        '`numInferenceSteps` (--num-inference-steps) has to be at most 40 for AnimateLCM, the ' +
          'steps of its training, but is 41. Usual are 4 to 8.',
      ],
      [
        () => lcm.setTimesteps(null, { sigmas: [700, 1, 0] }),
        '`sigmas` and schedules are not for AnimateLCM, whose model knows the 40 noise levels',
      ],
      ...[[], [40, 1], [5, 5], [1, 2], [3.5, 1], [3, -1]].map((timesteps): [() => void, string] => [
        () => lcm.setTimesteps(null, { timesteps }),
        '`timesteps` have to be whole numbers from 39 down to 0, in descending order, but are ' +
          `[${timesteps.join(', ')}].`,
      ]),
    ];
    for (const [cause, message] of wrong) expect(cause).to.throw(message);
  });

  it('counters as timesteps, and options of other samplers, in `step`', () => {
    const x = tf.ones([1, 2, 2, 4]);
    for (const name of ['edm-euler', 'dpmpp-2m', 'animatelcm'] as const) {
      const scheduler = schedulerByName(name, () => {});
      scheduler.setTimesteps(4);
      expect(() => scheduler.step(x, 1, x)).to.throw(
        `\`${scheduler.className}.step()\` is not supported. Make sure to pass one of the`,
      );
      expect(() => scheduler.step(x, 0.123, x)).to.throw(
        'The timestep 0.123 is not in the schedule',
      );
      if (name === 'edm-euler') continue;
      const churn: object = { sChurn: 1 };
      const first = scheduler.timesteps[0]!;
      expect(() => scheduler.step(x, first, x, churn)).to.throw('`step` has no option `sChurn`.');
    }
    x.dispose();
  });

  it('warns of steps that AnimateLCM wastes', () => {
    const warned = (steps: number) => {
      const warnings: string[] = [];
      schedulerByName('animatelcm', (text) => warnings.push(text)).setTimesteps(steps);
      return warnings;
    };
    for (const steps of [1, 4, 8, 13, 14, 20, 40]) expect(warned(steps)).to.deep.equal([]);
    for (const steps of [22, 39]) expect(warned(steps)).to.have.length(1);
    expect(warned(25)).to.deep.equal([
      'AnimateLCM takes the first 25 of its 40 noise levels for 25 steps, which end at 4.4, so ' +
        'that much of the noise is left to the last one. Usual are 4 to 8 steps, and 20 or 40 use ' +
        'all levels.',
    ]);
  });
});
