/** The sampler of a pipeline: another one in its place, and its schedule. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { alignYourSteps, type Scheduler, schedulerByName } from '../../../src/index.ts';
import type { SamplingPipeline } from '../../../src/pipelines/stableVideoDiffusion.ts';
import { Generator } from '../../../src/random/generator.ts';
import { EDMEulerScheduler } from '../../../src/schedulers/index.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { type Options, options, picture, tinyPipeline } from '../../harness/tiny.ts';
import { warningsOf } from '../../harness/warnings.ts';

describe('pipe.scheduler', () => {
  let pipe: SamplingPipeline;
  let euler: Scheduler;
  before(async () => {
    pipe = await tinyPipeline();
    euler = pipe.scheduler;
  });
  afterEach(() => {
    pipe.scheduler = euler;
  });
  after(() => pipe.dispose());

  /** The final latents of a call. */
  async function latentsOf(changed: Options = {}): Promise<Float32Array> {
    const generator = new Generator(1);
    const { frames } = await pipe.generate(picture, {
      ...{ ...options, generator, ...changed },
      outputType: 'latent',
    });
    const data = Float32Array.from(await frames.data());
    frames.dispose();
    return data;
  }

  it('can be replaced, for the calls that are made from then on', async () => {
    // With fewer steps, none is of second order.
    const steps = { numInferenceSteps: 4 };
    const own = await latentsOf(steps);
    const first = latentsOf(steps);
    pipe.scheduler = schedulerByName('dpmpp-2m');
    expect(pipe.components.scheduler).to.equal(pipe.scheduler);
    const second = latentsOf(steps);
    pipe.scheduler = euler;
    expect(await first).to.deep.equal(own);
    expect(relativeL2(await second, own)).to.be.above(0.01);
    expect(await latentsOf(steps)).to.deep.equal(own);
  });

  it('warns, once, where no step is guided, and of guidance that AnimateLCM is not made for', async () => {
    const warnings = async (changed: Options) => warningsOf(() => latentsOf(changed));
    const guided = { numFrames: 2, maxGuidanceScale: 3 };
    expect(await warnings({ ...guided, guidanceInterval: [0, 1000] })).to.deep.equal([]);
    expect(
      await warnings({ ...guided, maxGuidanceScale: 1, guidanceInterval: [800, 900] }),
    ).to.deep.equal([]);
    const [text, ...others] = await warnings({ ...guided, guidanceInterval: [800, 900] });
    expect(text).to.match(
      /^No step is guided: `guidanceInterval` \(--guidance-interval\) 800,900 holds none of the noise levels of the steps, which are from [\d.]+ to 700\.$/,
    );
    expect(others).to.deep.equal([]);
    pipe.scheduler = schedulerByName('animatelcm');
    expect(await warnings({ ...guided, maxGuidanceScale: 1.2 })).to.deep.equal([]);
    expect((await warnings(guided)).join()).to.match(
      /^Guidance goes up to 3, but the weights of An/,
    );
  });

  it('is a scheduler', () => {
    for (const wrong of ['euler', null, { step: () => {} }]) {
      expect(() => {
        pipe.scheduler = wrong as unknown as Scheduler;
      }).to.throw('`scheduler` has to be a scheduler, such as `schedulerByName(');
    }
    expect(pipe.scheduler).to.equal(euler);
  });

  it('draws the noise of its steps from the generator of the call', async () => {
    for (const name of ['dpmpp-2m-sde', 'animatelcm'] as const) {
      pipe.scheduler = schedulerByName(name);
      const [a, b, c] = [
        await latentsOf(),
        await latentsOf(),
        await latentsOf({ generator: new Generator(2) }),
      ];
      expect(b).to.deep.equal(a);
      expect(relativeL2(c, a)).to.be.above(0.01);
    }
  });

  it('refuses a schedule that repeats its first noise level, before the work', async () => {
    for (const name of ['euler', 'edm-euler', 'dpmpp-2m'] as const) {
      pipe.scheduler = schedulerByName(name, () => {});
      for (const sigmas of [
        [10, 10, 0],
        [1, 0.5, 1, 0],
        [700, 699.99999, 0],
      ]) {
        const stages: string[] = [];
        const onStage = (stage: string) => void stages.push(stage);
        const error = await latentsOf({ sigmas, onStage }).catch((error: Error) => error);
        expect(error).to.be.an.instanceOf(Error);
        expect((error as Error).message).to.match(/^The first noise level, \d+, comes again /);
        expect(stages).to.deep.equal([]);
      }
    }
  });

  it('follows sigmas as they are given, and Align Your Steps by its name', async () => {
    pipe.scheduler = schedulerByName('euler');
    const sigmas = [400, 30, 2, 0.1, 0];
    const [own, aligned] = [
      await latentsOf({ sigmas }),
      await latentsOf({ schedule: 'ays', numInferenceSteps: 4 }),
    ];
    expect(await latentsOf({ sigmas: alignYourSteps(4) })).to.deep.equal(aligned);
    pipe.scheduler = schedulerByName('edm-euler');
    expect(relativeL2(await latentsOf({ sigmas }), own)).to.be.below(1e-4);
    const edm = await latentsOf({ schedule: 'ays', numInferenceSteps: 4 });
    expect(relativeL2(edm, aligned)).to.be.below(1e-4);
    expect(Array.from(pipe.scheduler.sigmas)).to.deep.equal(alignYourSteps(4).map(Math.fround));
    expect(Array.from(pipe.scheduler.timesteps, Math.exp)[1]).to.be.closeTo(
      alignYourSteps(4)[1]! ** 0.25,
      1e-5,
    );
  });

  it('refuses what it cannot follow, in one sentence and before any work', async () => {
    const refusals: [Scheduler, Options, string][] = [
      [euler, { schedule: 'ays', sigmas: [1, 0] }, '`sigmas` and `schedule` are two schedules: '],
      [euler, { schedule: 'karras' as 'ays' }, '`schedule` has to be one of ays but is karras.'],
      [
        schedulerByName('animatelcm'),
        { numInferenceSteps: 41 },
        'has to be at most 40 for AnimateL',
      ],
      [
        schedulerByName('animatelcm'),
        { schedule: 'ays' },
        '`sigmas` and schedules are not for Anim',
      ],
      [
        schedulerByName('animatelcm'),
        { sigmas: [1, 0] },
        '`sigmas` and schedules are not for Anim',
      ],
    ];
    for (const [scheduler, wrong, message] of refusals) {
      pipe.scheduler = scheduler;
      let stages = 0;
      const onStage = () => void stages++;
      const error = await latentsOf({ ...wrong, onStage }).catch((error: Error) => error);
      expect((error as Error).message).to.contain(message);
      expect(stages).to.equal(0);
    }
  });

  it('says that its settings do not fit, once', async () => {
    pipe.scheduler = new EDMEulerScheduler();
    const calls = async () => [await latentsOf(), await latentsOf()];
    const warnings = await warningsOf(calls);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.contain('sigma_data 0.5 instead of 1');
  });

  it('keeps no tensor of a call that is stopped', async () => {
    pipe.scheduler = schedulerByName('dpmpp-2m');
    const controller = new AbortController();
    const before = tf.memory().numTensors;
    const { signal } = controller;
    const onProgress = ({ stage, step }: { stage: string; step: number }) => {
      if (stage === 'sampling' && step === 2) controller.abort(new Error('enough'));
    };
    const error = await latentsOf({ numInferenceSteps: 4, signal, onProgress }).catch((e) => e);
    expect(error.message).to.equal('enough');
    expect(tf.memory().numTensors).to.equal(before);
  });
});
