/** The schedulers in EDM's parametrisation against those of diffusers and of AnimateLCM. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Generator } from '../../../src/random/index.ts';
import { type Scheduler, schedulerFromConfig } from '../../../src/schedulers/index.ts';
import { type Fixture, readFixture, relativeL2 } from '../../harness/fixtures.ts';
import { uniforms } from '../../harness/nameHash.ts';

interface Run {
  config: Record<string, unknown>;
  request: { num_inference_steps?: number; timesteps?: number[] };
  options: { seeds?: number[]; s_churn?: number; s_tmin?: number; s_noise?: number };
}

const TOLERANCE = 1e-5; // of one operation or layer
/** Schedules of diffusers in float32, which are off by some units in the last place. */
const ROUNDING = 1e-5;

const casesOf = (fixture: Fixture): Run[] => JSON.parse(fixture.metadata.cases!);
const title = ({ config: { _class_name: name, ...config }, request, options }: Run) =>
  [name, config, request, options].map((part) => JSON.stringify(part)).join(' ');

function scheduled({ config, request }: Run): Scheduler {
  const scheduler = schedulerFromConfig(config, () => {});
  const { num_inference_steps: steps = null, timesteps } = request;
  scheduler.setTimesteps(steps, timesteps ? { timesteps } : {});
  return scheduler;
}

/** A video of a name, channels-last. */
function named(name: string, [videos, frames, c, h, w]: number[]): tf.Tensor {
  const shape = [videos!, frames!, c!, h!, w!];
  const values = Float32Array.from(uniforms(name, tf.util.sizeFromShape(shape)));
  return tf.tidy(() => tf.transpose(tf.tensor(values, shape), [0, 1, 3, 4, 2]));
}

/** The samples after each step, in diffusers' axis order. */
async function run(
  scheduler: Scheduler,
  { options }: Run,
  shape: number[],
): Promise<Float32Array[]> {
  const { seeds = [], s_churn: sChurn, s_tmin: sTmin, s_noise: sNoise } = options;
  const generators = seeds.map((seed) => new Generator(seed));
  const generator = generators.length > 1 ? generators : generators[0];
  let sample = tf.tidy(() => tf.mul(named('edm.start', shape), scheduler.initNoiseSigma));
  const samples: Float32Array[] = [];
  for (const [i, timestep] of scheduler.timesteps.entries()) {
    const output = named(`edm.output.${i}`, shape);
    const scaled = scheduler.scaleModelInput(sample, timestep);
    const churn = sChurn === undefined ? {} : { sChurn, sTmin, sNoise };
    const { prevSample, predOriginalSample } = scheduler.step(output, timestep, sample, {
      generator,
      ...churn,
    });
    tf.dispose([output, scaled, sample, predOriginalSample]);
    sample = prevSample;
    const ordered = tf.transpose(sample, [0, 1, 4, 2, 3]);
    samples.push((await ordered.data()).slice() as Float32Array);
    ordered.dispose();
  }
  sample.dispose();
  return samples;
}

for (const file of ['edm-steps.safetensors', 'animatelcm.safetensors']) {
  describe(`steps of ${file}`, () => {
    let fixture: Fixture;
    before(async () => {
      fixture = await readFixture('scheduler', file);
    });

    it('equal those of the reference', async () => {
      const shape: number[] = JSON.parse(fixture.metadata.shape!);
      const size = tf.util.sizeFromShape(shape);
      for (const [i, one] of casesOf(fixture).entries()) {
        const tensors = tf.memory().numTensors;
        const samples = await run(scheduled(one), one, shape);
        expect(tf.memory().numTensors, `tensors left by ${title(one)}`).to.equal(tensors);
        const { data } = fixture.tensors[i]!;
        expect(samples.length * size).to.equal(data.length);
        for (const [step, sample] of samples.entries()) {
          const expected = data.slice(step * size, (step + 1) * size);
          // diffusers divides by a step of length 0. Then the sample stays as it is.
          const isNoStep = expected.every(Number.isNaN);
          const distance = relativeL2(sample, isNoStep ? samples[step - 1]! : expected);
          expect(distance, `step ${step} of ${title(one)}`).to.be.at.most(TOLERANCE);
        }
      }
    });
  });
}

for (const file of ['edm-schedules.safetensors', 'animatelcm.safetensors']) {
  it(`schedules equal those of ${file}`, async () => {
    const fixture = await readFixture('scheduler', file);
    for (const [i, one] of casesOf(fixture).entries()) {
      const { sigmas, timesteps, initNoiseSigma } = scheduled(one);
      const expectNear = (name: string, values: ArrayLike<number>) => {
        const expected = fixture.tensors[`${i}.${name}`]!.data;
        expect(values.length, `${name} of ${title(one)}`).to.equal(expected.length);
        for (let j = 0; j < expected.length; j++) {
          const bound = ROUNDING * Math.max(Math.abs(expected[j]!), name === 'timesteps' ? 1 : 0);
          expect(values[j]!, `${name}[${j}] of ${title(one)}`).to.be.closeTo(expected[j]!, bound);
        }
      };
      expectNear('sigmas', sigmas);
      expectNear('timesteps', timesteps);
      expectNear('init_noise_sigma', [initNoiseSigma]);
    }
  });
}
