import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { EulerDiscreteScheduler } from '../../src/schedulers/index.ts';

const stated: Record<string, string> = JSON.parse(
  readFileSync(new URL('../fixtures/svd-goldens.json', import.meta.url), 'utf8'),
).scheduler.errors;

/** diffusers' message with our names for what the user types. */
function ours(message: string): string {
  return message
    .replace(/^\w+: /, '')
    .replace(/<class '.*\.(\w+)'>/, '$1')
    .replace(
      /\b(num_inference|use|timestep|prediction|interpolation|final_sigmas)(_[a-z]+)+/g,
      (name) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    )
    .replace('= True', '= true')
    .replace('`sigmas.', '`sigmas`.');
}

const KARRAS = { use_karras_sigmas: true };
const CONTINUOUS = { timestep_type: 'continuous', prediction_type: 'v_prediction' };

function scheduled(
  config: Record<string, unknown>,
  ...request: Parameters<EulerDiscreteScheduler['setTimesteps']>
): EulerDiscreteScheduler {
  const scheduler = EulerDiscreteScheduler.fromConfig(config, () => {});
  scheduler.setTimesteps(...request);
  return scheduler;
}

function withOnes(use: (ones: tf.Tensor) => void): void {
  const ones = tf.ones([1, 2, 2, 4]);
  try {
    use(ones);
  } finally {
    ones.dispose();
  }
}

const CASES: Record<string, () => void> = {
  both: () => scheduled({}, null, { timesteps: [1], sigmas: [1, 0] }),
  none: () => scheduled({}),
  n_and_sigmas: () => scheduled({}, 5, { sigmas: [1, 0] }),
  timesteps_karras: () => scheduled(KARRAS, null, { timesteps: [1] }),
  timesteps_cont_v: () => scheduled(CONTINUOUS, null, { timesteps: [1] }),
  two_sigma_kinds: () => EulerDiscreteScheduler.fromConfig({ ...KARRAS, use_beta_sigmas: true }),
  bad_schedule: () => EulerDiscreteScheduler.fromConfig({ beta_schedule: 'foo' }),
  bad_spacing: () => scheduled({ timestep_spacing: 'foo' }, 5),
  bad_interp: () => scheduled({ interpolation_type: 'foo' }, 5),
  bad_final: () => scheduled({ final_sigmas_type: 'foo' }, 5),
  int_step: () => withOnes((x) => scheduled({}, 4).step(x, 1, x)),
};

describe('errors of EulerDiscreteScheduler', () => {
  let tensors: number;
  beforeEach(() => {
    tensors = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors, 'tensors left').to.equal(tensors);
  });

  it('cover every message of diffusers', () => {
    expect(Object.keys(CASES)).to.have.members(Object.keys(stated));
  });

  for (const [name, cause] of Object.entries(CASES)) {
    it(`${name}: ${ours(stated[name]!)}`, () => {
      expect(cause).to.throw(ours(stated[name]!));
    });
  }

  it('custom timesteps with the other kinds of sigmas, or with a count', () => {
    for (const kind of ['use_exponential_sigmas', 'use_beta_sigmas']) {
      const name = kind === 'use_beta_sigmas' ? 'useBetaSigmas' : 'useExponentialSigmas';
      expect(() => scheduled({ [kind]: true }, null, { timesteps: [1] })).to.throw(
        `Cannot set \`timesteps\` with \`config.${name} = true\`.`,
      );
    }
    expect(() => scheduled({}, 5, { timesteps: [1] })).to.throw(
      'Can only pass one of `numInferenceSteps` or `timesteps` or `sigmas`.',
    );
  });

  it('custom sigmas of 0 before the last, and beyond what numbers hold', () => {
    for (const sigmas of [
      [0, 1],
      [0, 0],
      [2, 0, 1],
      [1e30, 0],
    ])
      expect(() => scheduled({}, null, { sigmas })).to.throw(
        `\`sigmas\` have to be above 0, but for the last, and at most 1000000, but are [${sigmas.join(', ')}].`,
      );
    scheduled({}, null, { sigmas: [1, 0.5] });
  });

  it('options that there are not', () => {
    const wrong = (options: object) => () => new EulerDiscreteScheduler(options);
    expect(wrong({ use_karras_sigmas: true })).to.throw(
      '`EulerDiscreteScheduler` has no option `use_karras_sigmas`. Use `useKarrasSigmas`.',
    );
    const scheduler = new EulerDiscreteScheduler({ useKarrasSigmas: true });
    expect(() => scheduler.setTimesteps(null, { sigma: [1, 0] } as object)).to.throw(
      '`setTimesteps` has no option `sigma`.',
    );
    scheduler.setTimesteps(2);
    const [timestep] = scheduler.timesteps;
    const step = (options: object) => () =>
      withOnes((ones) => scheduler.step(ones, timestep!, ones, options));
    expect(step({ s_churn: 1 })).to.throw('`step` has no option `s_churn`. Use `sChurn`.');
    expect(step({ sNoise: '1' })).to.throw('`sNoise` has to be a finite number but is "1".');
    expect(step({ generator: 42 })).to.throw('Pass `new Generator(42)`.');
  });

  it('counts and values that are not valid', () => {
    for (const count of [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => scheduled({}, count)).to.throw(
        `\`numInferenceSteps\` has to be a whole number of at least 1 but is ${count}.`,
      );
    }
    for (const sigmas of [[], [1], [1, Number.NaN, 0], [Number.POSITIVE_INFINITY, 0], [1, -1, 0]]) {
      expect(() => scheduled({}, null, { sigmas })).to.throw(
        '`sigmas` has to hold finite noise levels of at least 0',
      );
    }
    for (const timesteps of [[], [1, Number.NaN]]) {
      expect(() => scheduled({}, null, { timesteps })).to.throw(
        '`timesteps` has to hold one or more finite numbers but is [',
      );
    }
  });

  it('a whole number that is not a timestep, in getVelocity too', () => {
    withOnes((x) => {
      expect(() => scheduled({}, 4).getVelocity(x, x, [1])).to.throw(
        'Passing integer indices (e.g. from `enumerate(timesteps)`) as timesteps to ' +
          '`EulerDiscreteScheduler.getVelocity()` is not supported. ' +
          'Make sure to pass one of the `scheduler.timesteps` as a timestep.',
      );
    });
  });

  it('a timestep that is not in the schedule', () => {
    withOnes((x) => {
      expect(() => scheduled({}, 4).step(x, 1.5, x)).to.throw(
        'The timestep 1.5 is not in the schedule.',
      );
      expect(() => scheduled({}, 4).scaleModelInput(x, 1.5)).to.throw(
        'The timestep 1.5 is not in the schedule.',
      );
      expect(() => scheduled({}, 4).addNoise(x, x, [1.5])).to.throw(
        'The timestep 1.5 is not in the schedule.',
      );
    });
  });

  it('a step past the end', () => {
    withOnes((x) => {
      const scheduler = scheduled({}, 1);
      const t = scheduler.timesteps[0]!;
      tf.dispose(Object.values(scheduler.step(x, t, x)));
      expect(() => scheduler.step(x, t, x)).to.throw(
        'index 2 is out of bounds for dimension 0 with size 2: the schedule has ended.',
      );
    });
  });

  it('an unknown prediction type, at the step as in diffusers', () => {
    withOnes((x) => {
      const scheduler = scheduled({ prediction_type: 'foo' }, 4);
      expect(() => scheduler.step(x, scheduler.timesteps[0]!, x)).to.throw(
        'predictionType given as foo must be one of `epsilon`',
      );
    });
  });
});
