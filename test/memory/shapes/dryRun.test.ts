import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { devices } from '../../../src/memory/shapes/allocators.ts';
import { dryRun } from '../../../src/memory/shapes/dryRun.ts';
import { shapeKernels } from '../../../src/memory/shapes/kernels.ts';
import { deviceName } from '../../../src/ops/device.ts';
import { attention } from '../../../src/ops/index.ts';

/** The most bytes that a trace has in use at a time. */
function peakOf(trace: number[]): number {
  const sizes: number[] = [];
  let [live, peak] = [0, 0];
  for (const event of trace) {
    if (event >= 0) sizes.push(event);
    live += event >= 0 ? event : -sizes[~event];
    peak = Math.max(peak, live);
  }
  return peak;
}

/** The bytes that a trace has in use at its end. */
const leftOf = (trace: number[]) => {
  const sizes = trace.filter((event) => event >= 0);
  return trace.reduce((sum, event) => sum + (event >= 0 ? event : -sizes[~event]), 0);
};

type Input = (...shape: number[]) => tf.Tensor;

/** Computations that between them use the kernels whose shapes are not those of their input. */
const computations: Record<string, (input: Input) => tf.Tensor | tf.Tensor[]> = {
  'add of other ranks': (input) => tf.add(input(2, 1, 3), input(4, 1)),
  reductions: (input) => [
    tf.sum(input(2, 3, 4), 1),
    tf.mean(input(2, 3, 4), [0, -1], true),
    tf.max(input(5)),
    tf.all(tf.isFinite(input(2, 2))),
  ],
  products: (input) => [
    tf.matMul(input(2, 3), input(3, 4)),
    tf.matMul(input(5, 3, 2), input(5, 3, 4), true),
    tf.matMul(input(1, 2, 3), input(5, 4, 3), false, true),
    tf.fused.matMul({ a: input(2, 3), b: input(3, 4), bias: input(4) }),
  ],
  convolutions: (input) => [
    tf.conv2d(input(2, 7, 8, 3) as tf.Tensor4D, input(3, 3, 3, 5) as tf.Tensor4D, 2, 'valid'),
    tf.fused.conv2d({
      x: input(2, 7, 8, 3) as tf.Tensor4D,
      filter: input(3, 1, 3, 5) as tf.Tensor4D,
      strides: 1,
      pad: 'same',
      bias: input(5) as tf.Tensor1D,
    }),
    tf.avgPool(input(2, 4, 6, 3) as tf.Tensor4D, [1, 3], [1, 3], 'valid'),
  ],
  slices: (input) => [
    tf.slice(input(4, 5), [1, 2], [2, -1]),
    tf.slice(input(4, 5), 2, 1),
    ...tf.split(input(4, 6), 3, -1),
    ...tf.split(input(6, 2), [1, 5], 0),
    ...tf.unstack(input(3, 2), 0),
  ],
  joins: (input) => [
    tf.concat([input(2, 3), input(2, 4)], -1),
    tf.stack([input(2, 3), input(2, 3)], 1),
    tf.tile(input(2, 3), [2, 1]),
  ],
  moves: (input) => [
    tf.transpose(input(2, 3, 4), [2, 0, 1]),
    tf.expandDims(input(2, 3), -1),
    tf.reshape(input(2, 3), [-1, 1, 2]),
    tf.pad(input(2, 3), [
      [0, 1],
      [2, 0],
    ]),
    tf.gather(input(4, 3), tf.tensor1d([0, 2, 1], 'int32'), 1),
    tf.image.resizeNearestNeighbor(input(1, 2, 3, 4) as tf.Tensor4D, [4, 6]),
  ],
  'new tensors': (input) => [
    tf.range(0, 7, 2),
    tf.fill([2, 3], 4),
    tf.zerosLike(input(2, 3)),
    tf.cast(input(3), 'int32'),
  ],
  choices: (input) => tf.where(tf.greaterEqual(input(2, 3), 0), input(2, 3), tf.neg(input(2, 3))),
};

describe('dryRun', () => {
  for (const [name, compute] of Object.entries(computations)) {
    it(`gives the shapes and types of ${name}`, () => {
      const described = (given: tf.Tensor | tf.Tensor[]) =>
        [given].flat().map(({ shape, dtype }) => `${dtype} ${shape}`);
      const real = tf.tidy(
        () => described(compute((...shape) => tf.ones(shape))) as unknown as tf.TensorContainer,
      ) as unknown as string[];
      let planned: string[] = [];
      dryRun('cpu', (input) => {
        planned = described(compute(input));
      });
      expect(planned).to.deep.equal(real);
    });
  }

  it('knows kernels of TensorFlow.js only', () => {
    const known = new Set(tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName));
    expect(Object.keys(shapeKernels).filter((kernel) => !known.has(kernel))).to.deep.equal([]);
  });

  it('counts tensors from their making to their end', () => {
    const { trace, largestBytes } = dryRun('cpu', (input) => {
      const x = input(10); // 40
      const y = tf.tidy(() => tf.add(tf.mul(x, x), tf.mul(x, x))); // 40 + 3 * 40
      x.dispose();
      tf.concat([y, y]); // 40 + 80
    });
    expect(peakOf(trace)).to.equal(160);
    expect(largestBytes).to.equal(80);
    expect(leftOf(trace), 'dropped at the end').to.equal(0);
  });

  it('counts a view no second time', () => {
    const { trace } = dryRun('cpu', (input) =>
      tf.transpose(tf.reshape(input(4, 5), [1, 20]), [1, 0]),
    );
    expect(peakOf(trace)).to.equal(80);
    const part = (device: 'tensorflow-cpu' | 'wasm') =>
      peakOf(dryRun(device, (input) => tf.slice(input(4, 5), [1, 0], [2, 5])).trace);
    expect([part('tensorflow-cpu'), part('wasm')], 'slices of the first axis').to.deep.equal([
      80, 120,
    ]);
  });

  it('keeps what XNNPACK packs for as long as the filter lives', () => {
    const weight = tf.ones([1, 3, 5]);
    const { trace, kept } = dryRun('wasm', (input) => {
      tf.tidy(() => tf.matMul(input(1, 2, 3), input(1, 3, 4)));
      for (const _ of [1, 2]) tf.tidy(() => tf.matMul(input(1, 2, 3), weight));
    });
    expect(kept).to.have.lengthOf(1);
    expect(leftOf(trace)).to.equal(60);
    weight.dispose();
  });

  it('runs the formulations of the device', () => {
    const names = devices.map((device) => {
      let name = '';
      dryRun(device, () => {
        name = deviceName();
      });
      return name;
    });
    expect(names).to.deep.equal([...devices]);
  });

  it('tells where parts begin', () => {
    const { parts, trace } = dryRun('cpu', (input, begin) => {
      begin('one');
      input(2);
      begin('two');
    });
    expect(parts).to.deep.equal([
      { name: 'one', at: 0, work: 0 },
      { name: 'two', at: 1, work: 0 },
    ]);
    expect(trace).to.deep.equal([8, ~0]);
  });

  it('leaves the engine as it was, also after an error', () => {
    const kept = tf.ones([3]);
    const state = () => [
      tf.getBackend(),
      tf.memory().numTensors,
      tf.memory().numBytes,
      tf.engine().state.numDataBuffers,
    ];
    const before = state();
    dryRun('wasm', (input) => tf.add(input(3), tf.reshape(kept, [1, 3])));
    expect(state()).to.deep.equal(before);
    const failing = () =>
      dryRun('wasm', (input) => {
        const x = input(2);
        tf.keep(tf.clone(x)).dispose();
        throw new Error('stopped');
      });
    expect(failing).to.throw('stopped');
    expect(state()).to.deep.equal(before);
    expect([...kept.dataSync()]).to.deep.equal([1, 1, 1]);
    kept.dispose();
  });

  it('refuses to tell values', () => {
    expect(() => dryRun('cpu', (input) => input(2).dataSync())).to.throw('cannot depend on values');
  });

  it('never has more scores than the budget', () => {
    const [budget, tokens] = [2 ** 20, 2304];
    for (const device of devices) {
      const { largestBytes } = dryRun(device, (input) => {
        const project = () => input(1, tokens, 64);
        return attention({ q: project, k: project, v: project }, 2, budget);
      });
      expect(largestBytes, device).to.be.at.most(budget);
    }
  });
});
