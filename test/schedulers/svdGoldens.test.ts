import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { publishedConfigs } from '../../src/checkpoints/original/publishedConfigs.ts';
import { EulerDiscreteScheduler } from '../../src/schedulers/index.ts';
import { uniforms } from '../harness/nameHash.ts';

const goldens = JSON.parse(
  readFileSync(new URL('../fixtures/svd-goldens.json', import.meta.url), 'utf8'),
).scheduler;

const SVD = publishedConfigs(25).configs.scheduler;

/** The configuration of diffusers' own scheduler tests. */
const TESTS = {
  num_train_timesteps: 1100,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
};
const V = { prediction_type: 'v_prediction' };
const LOOPS: Record<string, Record<string, unknown>> = {
  default_linspace_epsilon: TESTS,
  v_prediction: { ...TESTS, ...V },
  sample: { ...TESTS, prediction_type: 'sample' },
  karras: { ...TESTS, use_karras_sigmas: true },
  exponential: { ...TESTS, use_exponential_sigmas: true },
  beta: { ...TESTS, use_beta_sigmas: true },
  leading_offset1: { ...TESTS, timestep_spacing: 'leading', steps_offset: 1 },
  trailing: { ...TESTS, timestep_spacing: 'trailing' },
  log_linear: { ...TESTS, interpolation_type: 'log_linear' },
  final_sigma_min: { ...TESTS, final_sigmas_type: 'sigma_min' },
  scaled_linear: { ...TESTS, beta_schedule: 'scaled_linear' },
  cosine: { ...TESTS, beta_schedule: 'squaredcos_cap_v2' },
  zero_snr_trailing_v: {
    ...TESTS,
    ...V,
    timestep_spacing: 'trailing',
    rescale_betas_zero_snr: true,
  },
  continuous_v: { ...TESTS, ...V, timestep_type: 'continuous' },
  'karras_min.02_max700': { ...TESTS, use_karras_sigmas: true, sigma_min: 0.02, sigma_max: 700 },
  svd_cfg: SVD,
};

/**
 * diffusers' test sample and noise, flat: both run through the same elements, upwards and
 * downwards.
 */
const ramp = () => tf.div(tf.range(0, 768), 768);
const reversedRamp = () => tf.div(tf.range(767, -1, -1), 768);

/** diffusers' test run: the model is `x * t / (t + 1)`, and the step takes the scaled sample. */
function run(
  scheduler: EulerDiscreteScheduler,
  start: tf.Tensor,
  timesteps: Float32Array,
): tf.Tensor {
  let sample = start;
  for (const t of timesteps) {
    sample = scheduler.scaleModelInput(sample, t);
    sample = scheduler.step(
      tf.mul(sample, Math.fround(t / Math.fround(t + 1))),
      t,
      sample,
    ).prevSample;
  }
  return sample;
}

function fullRun(scheduler: EulerDiscreteScheduler): tf.Tensor {
  return tf.tidy(() =>
    run(scheduler, tf.mul(ramp(), scheduler.initNoiseSigma), scheduler.timesteps),
  );
}

async function absolute(sample: tf.Tensor): Promise<{ sum: number; mean: number }> {
  const values = Array.from(await sample.data());
  sample.dispose();
  const sum = values.reduce((total, value) => total + Math.abs(value), 0);
  return { sum, mean: sum / values.length };
}

function expectNear(
  actual: ArrayLike<number>,
  expected: number[],
  relative: number,
  absolute: number,
): void {
  expect(actual.length).to.equal(expected.length);
  expected.forEach((value, i) => {
    expect(actual[i], `value ${i}`).to.be.closeTo(value, Math.abs(value) * relative + absolute);
  });
}

describe('published numbers of the Euler scheduler', () => {
  it('training schedule of SVD', () => {
    const expected = goldens.svd.before_set_timesteps;
    const { initNoiseSigma, sigmas, timesteps } = EulerDiscreteScheduler.fromConfig(SVD);
    const actual = [
      initNoiseSigma,
      sigmas[0]!,
      sigmas[999]!,
      sigmas.length,
      timesteps[0]!,
      timesteps[999]!,
    ];
    const {
      init_noise_sigma,
      sigma_train_max,
      sigma_train_min,
      n,
      timesteps_first,
      timesteps_last,
    } = expected;
    expectNear(
      actual,
      [init_noise_sigma, sigma_train_max, sigma_train_min, n, timesteps_first, timesteps_last],
      2e-7,
      0,
    );
  });

  for (const steps of Object.keys(goldens.svd).filter((key) => key !== 'before_set_timesteps')) {
    it(`schedule of SVD in ${steps} steps`, () => {
      const scheduler = EulerDiscreteScheduler.fromConfig(SVD);
      scheduler.setTimesteps(Number(steps));
      const { sigmas, timesteps, init_noise_sigma } = goldens.svd[steps];
      // The numbers are stored with seven digits.
      expectNear(scheduler.sigmas, sigmas, 5.1e-7, 0);
      expectNear(scheduler.timesteps, timesteps, 5.1e-7, 0);
      expect(scheduler.initNoiseSigma).to.equal(init_noise_sigma);
    });
  }

  it('covers every loop', () => {
    expect(Object.keys(LOOPS)).to.have.members(Object.keys(goldens.loops_10_steps));
  });

  for (const [name, expected] of Object.entries<Record<string, number & number[]>>(
    goldens.loops_10_steps,
  )) {
    if ('error' in expected) continue;
    it(`loop of 10 steps: ${name}`, async () => {
      const scheduler = EulerDiscreteScheduler.fromConfig(LOOPS[name]!);
      scheduler.setTimesteps(10);
      const rescaled = LOOPS[name]!.rescale_betas_zero_snr;
      expectNear(scheduler.sigmas, expected.sigmas!, rescaled ? 1e-3 : 1e-6, 1e-6);
      expectNear(scheduler.timesteps, expected.timesteps!, 1e-6, rescaled ? 2e-3 : 5e-4);
      expectNear([scheduler.initNoiseSigma], [expected.init_noise_sigma!], 1e-6, 0);
      const tensors = tf.memory().numTensors;
      const { sum, mean } = await absolute(fullRun(scheduler));
      // The tolerances of diffusers' own tests.
      expect(sum).to.be.closeTo(expected.abs_sum!, 1e-2);
      expect(mean).to.be.closeTo(expected.abs_mean!, 1e-3);
      expect(tf.memory().numTensors).to.equal(tensors);
    });
  }

  it('ends with an error where timesteps repeat, as diffusers does', () => {
    const scheduler = EulerDiscreteScheduler.fromConfig(LOOPS['karras_min.02_max700']!);
    scheduler.setTimesteps(10);
    const message = /^IndexError\('(.*)'\)$/.exec(
      goldens.loops_10_steps['karras_min.02_max700'].error,
    )![1]!;
    const tensors = tf.memory().numTensors;
    expect(() => fullRun(scheduler)).to.throw(message);
    expect(tf.memory().numTensors).to.equal(tensors);
  });

  // Sums and means that diffusers' tests state, with its tolerances.
  const STATED: [string, number, number][] = [
    ['default_linspace_epsilon', 10.0807, 0.0131],
    ['v_prediction', 0.0002, 2.2676e-6],
    ['karras', 124.52299499511719, 0.16213932633399963],
  ];
  for (const [name, sum, mean] of STATED) {
    it(`value of diffusers' tests: ${name}`, async () => {
      const scheduler = EulerDiscreteScheduler.fromConfig(LOOPS[name]!);
      scheduler.setTimesteps(10);
      const actual = await absolute(fullRun(scheduler));
      expect(actual.sum).to.be.closeTo(sum, 1e-2);
      expect(actual.mean).to.be.closeTo(mean, 1e-3);
    });
  }

  it("value of diffusers' tests: noise added at step 8 of 10", async () => {
    const scheduler = EulerDiscreteScheduler.fromConfig(TESTS);
    scheduler.setTimesteps(10);
    const rest = scheduler.timesteps.slice(8);
    const sample = tf.tidy(() => {
      const start = tf.mul(ramp(), scheduler.initNoiseSigma);
      return run(scheduler, scheduler.addNoise(start, reversedRamp(), rest.slice(0, 1)), rest);
    });
    const actual = await absolute(sample);
    expect(actual.sum).to.be.closeTo(57062.9297, 1e-2);
    expect(actual.mean).to.be.closeTo(74.3007, 1e-3);
  });

  for (const prediction_type of ['epsilon', 'sample', 'v_prediction']) {
    for (const interpolation_type of ['linear', 'log_linear']) {
      for (const final_sigmas_type of ['zero', 'sigma_min']) {
        it(
          `custom timesteps and sigmas repeat the plain run: ${prediction_type}, ` +
            `${interpolation_type}, ${final_sigmas_type}`,
          async () => {
            const config = { ...TESTS, prediction_type, interpolation_type, final_sigmas_type };
            const plain = EulerDiscreteScheduler.fromConfig(config);
            plain.setTimesteps(10);
            const byTimesteps = EulerDiscreteScheduler.fromConfig(config);
            byTimesteps.setTimesteps(null, { timesteps: Array.from(plain.timesteps) });
            const bySigmas = EulerDiscreteScheduler.fromConfig(config, () => {});
            bySigmas.setTimesteps(null, { sigmas: Array.from(plain.sigmas) });
            // Log-linear schedules have one level too many, so their sigmas make another run, in
            // diffusers too.
            expect(bySigmas.timesteps).to.have.length(interpolation_type === 'linear' ? 10 : 11);
            const runs = interpolation_type === 'linear' ? [byTimesteps, bySigmas] : [byTimesteps];
            const tensors = tf.memory().numTensors;
            const expected = fullRun(plain);
            for (const scheduler of runs) {
              const difference = tf.tidy(() =>
                tf.sum(tf.abs(tf.sub(fullRun(scheduler), expected))),
              );
              expect((await difference.data())[0]).to.be.below(1e-5);
              difference.dispose();
            }
            expected.dispose();
            expect(tf.memory().numTensors).to.equal(tensors);
          },
        );
      }
    }
  }

  it('25 steps of SVD with a constant model output', async () => {
    const scheduler = EulerDiscreteScheduler.fromConfig(SVD);
    scheduler.setTimesteps(25);
    const { first3, last2, final } = goldens.svd_25_step_constant_v;
    const tensors = tf.memory().numTensors;
    const output = tf.tensor1d(Float32Array.from(uniforms('sched.v', 128)));
    let sample: tf.Tensor = tf.tidy(() =>
      tf.mul(tf.tensor1d(Float32Array.from(uniforms('sched.x', 128))), scheduler.initNoiseSigma),
    );
    const seen: { t: number; scaled: number[]; x0: number[]; prev: number[] }[] = [];
    for (const t of scheduler.timesteps) {
      const scaled = scheduler.scaleModelInput(sample, t);
      const { prevSample, predOriginalSample } = scheduler.step(output, t, sample);
      const [a, b, c] = await Promise.all(
        [scaled, predOriginalSample, prevSample].map(async (x) =>
          Array.from(await x.data()).slice(0, 2),
        ),
      );
      seen.push({ t, scaled: a!, x0: b!, prev: c! });
      tf.dispose([scaled, predOriginalSample, sample]);
      sample = prevSample;
    }
    [...first3, ...last2].forEach((expected, i) => {
      const actual = seen[i < 3 ? i : i + 20]!;
      expectNear([actual.t], [expected.t], 2e-7, 0);
      for (const key of ['scaled', 'x0', 'prev'] as const)
        expectNear(actual[key], expected[key], 1e-5, 1e-6);
    });
    const values = Array.from(await sample.data());
    tf.dispose([sample, output]);
    expect(values).to.have.length(final.numel);
    expectNear(values.slice(0, 8), final.first8, 1e-5, 5e-6);
    expectNear(values.slice(64, 68), final.mid4, 1e-5, 5e-6);
    expectNear(values.slice(-4), final.last4, 1e-5, 5e-6);
    const sum = values.reduce((total, value) => total + value, 0);
    const absSum = values.reduce((total, value) => total + Math.abs(value), 0);
    expectNear(
      [sum, absSum, Math.max(...values), Math.min(...values)],
      [final.sum, final.abs_sum, final.max, final.min],
      1e-5,
      1e-4,
    );
    expect(tf.memory().numTensors).to.equal(tensors);
  });
});
