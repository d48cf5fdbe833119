import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Generator, randnTensor } from '../../src/random/index.ts';
import { EulerDiscreteScheduler, type EulerStepOptions } from '../../src/schedulers/index.ts';
import {
  type Fixture,
  type ReferenceTensor,
  readFixture,
  relativeL2,
} from '../harness/fixtures.ts';
import { uniforms } from '../harness/nameHash.ts';

interface Run {
  config: Record<string, unknown>;
  num_inference_steps: number;
  seeds: number[];
  options: { s_churn?: number; s_tmin?: number; s_tmax?: number; s_noise?: number };
}

const TOLERANCE = 1e-5; // of one operation or layer

/** A tensor `[B, F, C, h, w]` of diffusers, channels-last. */
function video(values: Float32Array, shape: number[]): tf.Tensor {
  return tf.tidy(() => tf.transpose(tf.tensor(values, shape), [0, 1, 3, 4, 2]));
}

function named(name: string, shape: number[]): tf.Tensor {
  return video(Float32Array.from(uniforms(name, tf.util.sizeFromShape(shape))), shape);
}

async function expectEqual(
  actual: tf.Tensor,
  expected: ReferenceTensor,
  what: string,
): Promise<void> {
  const reference = video(expected.data, expected.shape);
  expect(actual.shape).to.deep.equal(reference.shape);
  expect(relativeL2(await actual.data(), await reference.data()), what).to.be.at.most(TOLERANCE);
  reference.dispose();
}

function generatorOf(seeds: number[]): Generator | Generator[] | undefined {
  const generators = seeds.map((seed) => new Generator(seed));
  return generators.length > 1 ? generators : generators[0];
}

describe('EulerDiscreteScheduler', () => {
  let steps: Fixture;
  let noising: Fixture;
  let tensors: number;

  before(async () => {
    steps = await readFixture('scheduler', 'steps.safetensors');
    noising = await readFixture('scheduler', 'noising.safetensors');
  });
  beforeEach(() => {
    tensors = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors, 'tensors left').to.equal(tensors);
  });

  it('steps as diffusers does, with and without churn', async () => {
    const shape: number[] = JSON.parse(steps.metadata.shape!);
    const runs = Object.entries<Run>(JSON.parse(steps.metadata.cases!));
    expect(runs).to.have.length.above(12);
    for (const [name, { config, num_inference_steps, seeds, options }] of runs) {
      const scheduler = EulerDiscreteScheduler.fromConfig(config);
      scheduler.setTimesteps(num_inference_steps);
      const { s_churn: sChurn, s_tmin: sTmin, s_tmax: sTmax, s_noise: sNoise } = options;
      const call: EulerStepOptions = {
        sChurn,
        sTmin,
        sTmax,
        sNoise,
        generator: generatorOf(seeds),
      };
      const output = named('scheduler.v', shape);
      let sample: tf.Tensor = tf.tidy(() =>
        tf.mul(named('scheduler.x', shape), scheduler.initNoiseSigma),
      );
      for (const [i, t] of scheduler.timesteps.entries()) {
        const scaled = scheduler.scaleModelInput(sample, t);
        expect(scheduler.stepIndex).to.equal(i);
        const { prevSample, predOriginalSample } = scheduler.step(output, t, sample, call);
        expect(scheduler.stepIndex).to.equal(i + 1);
        await expectEqual(
          scaled,
          steps.tensors[`${name}.${i}.scaled`]!,
          `${name}: model input ${i}`,
        );
        await expectEqual(
          predOriginalSample,
          steps.tensors[`${name}.${i}.x0`]!,
          `${name}: clean sample ${i}`,
        );
        await expectEqual(prevSample, steps.tensors[`${name}.${i}.prev`]!, `${name}: sample ${i}`);
        tf.dispose([scaled, predOriginalSample, sample]);
        sample = prevSample;
      }
      tf.dispose([sample, output]);
    }
  });

  it('takes the noise of churn as a tensor or from a generator', async () => {
    const results: Float32Array[] = [];
    const [sample, output] = [named('x', [1, 2, 4, 2, 3]), named('v', [1, 2, 4, 2, 3])];
    const noise = randnTensor(new Generator(5), [1, 2, 4, 2, 3]);
    for (const source of [
      { noise },
      { generator: new Generator(5) },
      { generator: new Generator(6) },
      {},
      {},
    ]) {
      const scheduler = new EulerDiscreteScheduler({ useKarrasSigmas: true }, () => {});
      scheduler.setTimesteps(4);
      const result = scheduler.step(output, scheduler.timesteps[0]!, sample, {
        sChurn: 2,
        ...source,
      });
      results.push((await result.prevSample.data()) as Float32Array);
      tf.dispose([result.prevSample, result.predOriginalSample]);
    }
    tf.dispose([sample, output, noise]);
    expect(results[1]).to.deep.equal(results[0]);
    expect(results[2]).not.to.deep.equal(results[0]);
    expect(results[4]).not.to.deep.equal(results[3]);
  });

  it('adds noise and computes velocities as diffusers does', async () => {
    const shape: number[] = JSON.parse(noising.metadata.shape!);
    for (const [name, config] of Object.entries<Record<string, unknown>>(
      JSON.parse(noising.metadata.cases!),
    )) {
      const scheduler = EulerDiscreteScheduler.fromConfig(config);
      scheduler.setTimesteps(8);
      const [x, noise] = [named('scheduler.x', shape), named('scheduler.noise', shape)];
      const check = async (actual: tf.Tensor, key: string) => {
        await expectEqual(actual, noising.tensors[`${name}.${key}`]!, `${name}: ${key}`);
        actual.dispose();
      };
      const two = [scheduler.timesteps[2]!, scheduler.timesteps[6]!];
      await check(scheduler.addNoise(x, noise, two), 'add_noise');
      await check(scheduler.addNoise(x, noise, scheduler.timesteps.slice(4, 5)), 'add_noise_one');
      await check(scheduler.getVelocity(x, noise, two), 'get_velocity');

      expect(scheduler.beginIndex).to.equal(null);
      scheduler.setBeginIndex(3);
      expect(scheduler.beginIndex).to.equal(3);
      await check(scheduler.addNoise(x, noise, two), 'add_noise_begin');
      let sample = x;
      for (const [i, t] of scheduler.timesteps.slice(3, 6).entries()) {
        scheduler.scaleModelInput(sample, t).dispose();
        const { prevSample, predOriginalSample } = scheduler.step(noise, t, sample);
        tf.dispose([predOriginalSample, sample]);
        await expectEqual(
          prevSample,
          noising.tensors[`${name}.${i}.prev`]!,
          `${name}: sample ${i} after the begin index`,
        );
        sample = prevSample;
      }
      await check(
        scheduler.addNoise(sample, noise, scheduler.timesteps.slice(0, 2)),
        'add_noise_later',
      );
      tf.dispose([sample, noise]);

      scheduler.setTimesteps(3);
      expect([
        scheduler.stepIndex,
        scheduler.beginIndex,
        scheduler.numInferenceSteps,
      ]).to.deep.equal([null, null, 3]);
    }
  });

  it('looks timesteps up by equality, the second of equal ones', () => {
    const scheduler = new EulerDiscreteScheduler();
    scheduler.setTimesteps(null, { timesteps: [900, 500, 500, 500, 100.5] });
    expect(scheduler.numInferenceSteps).to.equal(5);
    expect([900, 500, 100.5].map((t) => scheduler.indexForTimestep(t))).to.deep.equal([0, 2, 4]);
    expect(scheduler.indexForTimestep(3, [5, 3, 1])).to.equal(1);
    expect(() => scheduler.indexForTimestep(100)).to.throw(
      'The timestep 100 is not in the schedule.',
    );
  });

  it('has order 1 and the length of its training schedule', () => {
    const scheduler = new EulerDiscreteScheduler({ numTrainTimesteps: 40 });
    expect([scheduler.order, scheduler.length]).to.deep.equal([1, 40]);
  });

  it('warns once if the model input was not scaled', () => {
    const warnings: string[] = [];
    const scheduler = new EulerDiscreteScheduler({}, (message) => warnings.push(message));
    scheduler.setTimesteps(3);
    const x = tf.ones([1, 2, 2, 4]);
    for (const t of scheduler.timesteps.slice(0, 2))
      tf.dispose(Object.values(scheduler.step(x, t, x)));
    expect(warnings).to.deep.equal([
      'The `scaleModelInput` function should be called before `step` to ensure correct denoising.',
    ]);
    x.dispose();
  });

  it('warns of custom sigmas that do not descend to 0', () => {
    const warningsOf = (sigmas: number[]) => {
      const warnings: string[] = [];
      new EulerDiscreteScheduler({}, (message) => warnings.push(message)).setTimesteps(null, {
        sigmas,
      });
      return warnings;
    };
    expect(warningsOf([10, 1, 0])).to.deep.equal([]);
    expect(warningsOf([10, 1, 0.002])).to.have.length(1);
    expect(warningsOf([10, 1, 0.002])[0]).to.contain(
      'should end with the terminal value 0 but end with 0.002',
    );
    expect(warningsOf([1, 10, 0])[0]).to.contain('`sigmas` should descend but are [1, 10, 0]');
    expect(warningsOf([1, 1, 0])).to.have.length(1);
    expect(warningsOf([1, 2, 3])).to.have.length(2);
  });
});
