/** The state of a run: what it keeps, and how it goes on elsewhere. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Generator } from '../../src/random/index.ts';
import {
  EDMDPMSolverMultistepScheduler,
  type Scheduler,
  schedulerByName,
  schedulerNames,
} from '../../src/schedulers/index.ts';
import { uniforms } from '../harness/nameHash.ts';

const SHAPE = [1, 2, 2, 2, 4];
const named = (name: string) =>
  tf.tensor(Float32Array.from(uniforms(name, tf.util.sizeFromShape(SHAPE))), SHAPE);

const order3 = () =>
  new EDMDPMSolverMultistepScheduler({
    ...{ sigmaMax: 700, sigmaData: 1, predictionType: 'v_prediction' },
    solverOrder: 3,
  });
const all: Record<string, () => Scheduler> = {
  ...Object.fromEntries(schedulerNames.map((name) => [name, () => schedulerByName(name)])),
  'dpmpp-3m': order3,
};

/** Does some steps of a run. */
function steps(
  scheduler: Scheduler,
  start: tf.Tensor,
  [first, end]: [number, number],
  generator: Generator,
): tf.Tensor {
  return tf.tidy(() => {
    let sample = start;
    for (let i = first; i < end; i++) {
      const timestep = scheduler.timesteps[i]!;
      scheduler.scaleModelInput(sample, timestep);
      sample = scheduler.step(named(`state.${i}`), timestep, sample, { generator }).prevSample;
    }
    return sample;
  });
}

describe('the state of a run', () => {
  let tensors: number;
  beforeEach(() => {
    tensors = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors, 'tensors left').to.equal(tensors);
  });

  for (const [name, make] of Object.entries(all)) {
    it(`lets another ${name} go on after any step, to the bit`, async () => {
      const start = named('state.start');
      const whole = make();
      whole.setTimesteps(5);
      const expected = steps(whole, start, [0, 5], new Generator(3));
      for (const stop of [0, 1, 2, 4, 5]) {
        const [begun, resumed] = [make(), make()];
        for (const scheduler of [begun, resumed]) scheduler.setTimesteps(5);
        const generator = new Generator(3);
        const half = steps(begun, start, [0, stop], generator);
        const state = begun.state();
        expect(state.stepIndex).to.equal(stop === 0 ? null : stop);
        const kept = name.startsWith('dpmpp') && stop < 5 ? Number(name[6]) - 1 : 0;
        expect(state.modelOutputs).to.have.length(Math.min(stop, kept));
        resumed.restore(state);
        begun.dispose();
        const result = steps(resumed, half, [stop, 5], generator);
        expect(await result.data()).to.deep.equal(await expected.data());
        tf.dispose([half, result].filter((x) => x !== start));
      }
      tf.dispose([expected, start]);
    });
  }

  it('is freed by the next schedule, by `dispose` and by the last step', () => {
    const start = named('state.start');
    const scheduler = order3();
    const inUse = () => tf.memory().numTensors - tensors - 1;
    for (const [end, after] of [
      [3, () => scheduler.setTimesteps(4)],
      [3, () => scheduler.dispose()],
      [4, () => {}],
    ] as const) {
      scheduler.setTimesteps(4);
      steps(scheduler, start, [0, end], new Generator(1)).dispose();
      if (end === 3) expect(inUse()).to.equal(2);
      after();
      expect(inUse()).to.equal(0);
    }
    start.dispose();
  });
});
