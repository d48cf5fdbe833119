/** A call that goes on from the state of another ends as that one does, to the bit. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { SamplingPipeline } from '../../../src/pipelines/stableVideoDiffusion.ts';
import type { Progress, SamplingState } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/index.ts';
import { type EulerDiscreteScheduler, schedulerByName } from '../../../src/schedulers/index.ts';
import { type Options, options, otherPicture, picture, tinyPipeline } from '../../harness/tiny.ts';

let pipe: SamplingPipeline;
before(async () => {
  pipe = await tinyPipeline();
});
after(() => pipe.dispose());

const steps = 4;
const call: Options = { ...options, numInferenceSteps: steps };

/** The frames of a call, and its state after each step. */
async function run(changed: Options, pictures = [picture]) {
  const states: SamplingState[] = [];
  const { frames } = await pipe.generate(pictures, {
    ...{ ...call, outputType: 'array', onState: (state) => void states.push(state), ...changed },
  });
  return { frames, states };
}

/** Adds fresh noise of the call's generators before each step, which is not what pipelines do. */
async function churned<T>(work: () => Promise<T>): Promise<T> {
  const scheduler = pipe.scheduler as EulerDiscreteScheduler;
  const { step } = scheduler;
  scheduler.step = (output, timestep, sample, options) =>
    step.call(scheduler, output, timestep, sample, { ...options, sChurn: 3, sTmin: 1 });
  return await work().finally(() => {
    scheduler.step = step;
  });
}

describe('a call that goes on from a state', () => {
  const seeds = (...all: number[]) => all.map((seed) => new Generator(seed));
  for (const [what, generators, pictures, changed] of [
    ['of one generator', () => seeds(3), [picture], {}],
    ['of several videos and generators', () => seeds(3, 4), [picture], { numVideosPerPrompt: 2 }],
    ['of two pictures with one generator', () => seeds(5), [picture, otherPicture], {}],
    ['without guidance', () => seeds(6), [picture], { maxGuidanceScale: 1 }],
    ['with sigmas of its own', () => seeds(7), [picture], { sigmas: [700, 50, 5, 1, 0] }],
  ] as [string, () => Generator[], (typeof picture)[], Options][]) {
    for (const churn of [false, true]) {
      it(`${what}${churn ? ', with churn' : ''}`, async () => {
        const call = (generator: Generator[], resumeFrom?: SamplingState) => {
          const work = () => run({ ...changed, generator, resumeFrom }, pictures);
          return churn ? churned(work) : work();
        };
        const first = generators();
        const whole = await call(first);
        expect(whole.states.map(({ step }) => step)).to.deep.equal([1, 2, 3, 4]);
        const drawn = first.map((one) => one.randn([2]));
        for (const resumeFrom of whole.states) {
          const again = generators();
          // Wherever they stand: only their seeds matter.
          for (const one of again) one.randn([17]);
          const rest = await call(again, resumeFrom);
          expect(rest.frames).to.deep.equal(whole.frames);
          expect(rest.states).to.deep.equal(whole.states.slice(resumeFrom.step));
          expect(again.map((one) => one.randn([2]))).to.deep.equal(drawn);
        }
      });
    }
  }

  for (const name of ['edm-euler', 'dpmpp-2m', 'dpmpp-2m-sde', 'animatelcm'] as const)
    it(`of the sampler ${name}`, async () => {
      const { scheduler } = pipe;
      pipe.scheduler = schedulerByName(name);
      try {
        const whole = await run({ generator: seeds(8) });
        for (const resumeFrom of whole.states) {
          const rest = await run({ generator: seeds(8), resumeFrom });
          expect(rest.frames).to.deep.equal(whole.frames);
          expect(rest.states).to.deep.equal(whole.states.slice(resumeFrom.step));
        }
      } finally {
        pipe.scheduler = scheduler;
      }
    });

  it('with DeepCache, from where a step runs in full', async () => {
    const call = { generator: seeds(9), deepCache: { interval: 2, branch: 0 } };
    const whole = await run(call);
    expect(whole.states.map(({ step }) => step)).to.deep.equal([2, 4]);
    for (const resumeFrom of whole.states) {
      const rest = await run({ ...call, generator: seeds(9), resumeFrom });
      expect(rest.frames).to.deep.equal(whole.frames);
    }
  });

  it('makes the generators itself where there are none', async () => {
    const whole = await run({ numVideosPerPrompt: 2, generator: seeds(1, 2) });
    const [resumeFrom] = whole.states;
    expect((await run({ numVideosPerPrompt: 2, resumeFrom })).frames).to.deep.equal(whole.frames);
    const unseeded = await run({});
    expect((await run({ resumeFrom: unseeded.states[2] })).frames).to.deep.equal(unseeded.frames);
  });

  it('of given latents, and with latents that a callback replaces', async () => {
    const latents = tf.randomNormal([1, 2, 4, 8, 4]);
    const changed: Options = {
      latents,
      generator: seeds(1),
      callbackOnStepEnd: (_pipe, _step, _timestep, tensors) => ({
        latents: tf.mul(tensors.latents!, 0.9),
      }),
    };
    const whole = await run(changed);
    const rest = await run({ ...changed, generator: seeds(1), resumeFrom: whole.states[1] });
    expect(rest.frames).to.deep.equal(whole.frames);
  });

  it('reports only what is left, and encodes nothing where every step is done', async () => {
    const { states } = await run({});
    const watch = async (resumeFrom: SamplingState) => {
      const stages: string[] = [];
      const progress: Progress[] = [];
      await run({
        resumeFrom,
        onStage: (name) => void stages.push(name),
        onProgress: (one) => progress.push(one),
      });
      const sampled = progress.filter(({ stage }) => stage === 'sampling');
      return { stages, sampled: sampled.map(({ step }) => step) };
    };
    const third = await watch(states[2]!);
    expect(third.stages.slice(-2)).to.deep.equal(['latents_step_3', 'frames']);
    expect(third.stages).not.to.include('initial_latents');
    expect(third.sampled).to.deep.equal([3, 4]);
    expect(await watch(states[3]!)).to.deep.equal({ stages: ['frames'], sampled: [] });
  });

  it('leaves no tensors, also where it is stopped', async () => {
    const { states } = await run({});
    const before = tf.memory().numTensors;
    for (const resumeFrom of states) {
      await run({ resumeFrom });
      const fail = () => {
        throw new Error('enough');
      };
      await run({ resumeFrom, onStage: fail }).catch(() => undefined);
    }
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('refuses the state of a call with other settings, and what is none', async () => {
    const { states } = await run({ generator: seeds(1) });
    const refusal = (changed: object) =>
      run({ resumeFrom: states[1], ...changed }).then(
        () => 'nothing',
        (error: Error) => error.message,
      );
    const another = (names: string) =>
      `\`resumeFrom\` is the state of a call with another ${names}. Pass the settings of that call.`;
    expect(await refusal({ generator: seeds(2) })).to.equal(another('`seeds`'));
    expect(await refusal({ numInferenceSteps: 5 })).to.equal(another('`numInferenceSteps`'));
    expect(await refusal({ numFrames: 3, fps: 8 })).to.equal(another('`numFrames` and `fps`'));
    for (const resumeFrom of [5, {}, { ...states[1], generators: [] }])
      expect(await refusal({ resumeFrom })).to.match(
        /^`resumeFrom` has to be a state that `onState` was called with but is /,
      );
    expect(await refusal({ decodeChunkSize: 1, guidanceTogether: false })).to.equal('nothing');
  });
});
