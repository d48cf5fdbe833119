/** Every formulation of an operation against the plain one, and their choice by device. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { deviceName } from '../../src/ops/device.ts';
import * as ops from '../../src/ops/index.ts';
import {
  attend,
  type ComputeDtype,
  channelMean,
  computeIn,
  formulationOf,
  padEvenly,
  useFormulations,
} from '../../src/ops/index.ts';
import { testBackend, testFormulation } from '../setup.ts';
import { expectSame, named, ROUNDING } from './random.ts';

/**
 * Queries, keys and values `[G, N, d]` and `[G, M, d]`, below and above the number of scores at
 * which matrices are taken one by one.
 */
const attentionSizes: [g: number, n: number, m: number, d: number][] = [
  [1, 1, 1, 4],
  [6, 3, 3, 8],
  [3, 63, 64, 4],
  [3, 64, 64, 4],
  [5, 64, 80, 16],
  [2, 100, 77, 5],
  [1, 256, 256, 32],
];

/**
 * `[N, M, C]`: rows in one pooling window, in several, in a prime number, and in more windows than
 * one pass takes.
 */
const meanSizes: [n: number, m: number, c: number][] = [
  [1, 1, 4],
  [2, 12, 8],
  [3, 251, 5],
  [2, 257, 3],
  [1, 1024, 32],
  [2, 771, 4],
  [1, 70000, 2],
];

const attentionInputs = ([g, n, m, d]: [number, number, number, number]) =>
  [named('q', [g, n, d]), named('k', [g, m, d]), named('v', [g, m, d])] as [
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D,
  ];

interface Cases {
  shapes: number[][];
  /** What the formulations are called with, by shape. */
  inputs: (shape: number[]) => unknown[];
  /** What the plain formulation itself may be off by. Default `ROUNDING`. */
  tolerance?: (shape: number[]) => number;
}

/**
 * What the design allows an operation; for those that sum in another order and with other
 * constants.
 */
const OPERATION = 1e-5;

const vector = (name: string, length: number) => named<tf.Tensor1D>(name, [length]);

/**
 * `[N, H, W, I, O]`: heights that tiles of four rows fill and do not fill, in one band and in
 * several, channels below and above the switch to Winograd, and pixels above the switch to oneDNN.
 */
const convolutionSizes = [
  [2, 40, 3, 192, 192],
  [1, 68, 2, 192, 192],
  [1, 8, 5, 192, 192],
  [2, 9, 13, 192, 224],
  [1, 16, 8, 256, 192],
  [1, 4, 4, 192, 192],
  [2, 8, 6, 8, 4],
  [1, 23, 23, 8, 8],
  [1, 46, 46, 328, 2],
];
const picture = ([n, h, w, i]: number[]) => named('x', [n!, h!, w!, i!]);
const filterOf = ([, , , i, o]: number[]) => named('filter', [3, 3, i!, o!]);

/** The cases of each operation that has formulations. */
const cases: Record<string, Cases> = {
  conv2dFormulations: {
    // A bias for all images, and one for each.
    shapes: [...convolutionSizes, ...convolutionSizes.map((shape) => [...shape, shape[0]!])],
    inputs: (shape) => [
      picture(shape),
      filterOf(shape),
      named('bias', [...shape.slice(5), shape[4]!]),
      padEvenly(1),
      1,
    ],
    tolerance: () => OPERATION,
  },
  gegluFormulations: {
    shapes: [
      [3, 8, 6],
      [2, 5, 32, 64],
    ],
    inputs: (shape) => {
      const [width, inner] = shape.slice(-2) as [number, number];
      const [value, gate] = ['value', 'gate'].map((name) => () => ({
        weight: named(`${name}.weight`, [width, inner]),
        bias: vector(`${name}.bias`, inner),
      }));
      return [named('x', shape.slice(0, -1)), value, gate];
    },
  },
  groupNormFormulations: {
    shapes: [
      [1, 40, 32],
      [3, 40, 32],
      [1, 1000, 8],
    ],
    inputs: (shape) => [
      named('x', shape, -1, 3),
      vector('gain', shape.at(-1)!),
      vector('bias', shape.at(-1)!),
      4,
      1e-5,
    ],
  },
  layerNormFormulations: {
    shapes: [
      [4, 32],
      [2, 7, 48],
      [2, 260, 64],
    ],
    inputs: (shape) => [
      named('x', shape, -1, 3),
      vector('gain', shape.at(-1)!),
      vector('bias', shape.at(-1)!),
      1e-5,
    ],
  },
  siluFormulations: { shapes: [[2, 3, 4, 5]], inputs: (shape) => [named('x', shape, -20, 20)] },
  upsampleConv2dFormulations: {
    shapes: convolutionSizes,
    inputs: (shape) => [picture(shape), filterOf(shape), vector('bias', shape[4]!)],
    tolerance: () => OPERATION,
  },
  upsampleTwiceFormulations: {
    shapes: [[2, 3, 4, 5]],
    inputs: (shape) => [named('x', shape)],
    tolerance: () => 0,
  },
  attend: {
    shapes: attentionSizes,
    inputs: (shape) => attentionInputs(shape as [number, number, number, number]),
  },
  channelMean: {
    shapes: meanSizes,
    inputs: (shape) => [named('x', shape, -1, 3)],
    // A running float32 sum of M terms is off by up to half a unit in the last place at each, hence
    // by sqrt(M) of them on average.
    tolerance: ([, m]) => Math.max(ROUNDING, Math.sqrt(m!) * 2 ** -24),
  },
  channelMeanSquare: {
    shapes: meanSizes,
    inputs: (shape) => [named('x', shape, -1, 3)],
    tolerance: ([, m]) => Math.max(ROUNDING, Math.sqrt(m!) * 2 ** -24),
  },
  linearFormulations: {
    shapes: [
      [1, 3, 5],
      [70, 64, 96],
      [300, 64, 96], // so many rows that the choice does not depend on the processor
    ],
    inputs: ([rows, width, inner]) => [
      named('x', [rows!, width!]),
      named('weight', [width!, inner!]),
      vector('bias', inner!),
    ],
  },
  resizeNearestFormulations: {
    // Enlarged, reduced, and by ratios whose float32 products fall just beside whole numbers.
    shapes: [
      [2, 3, 4, 5, 5, 7],
      [1, 9, 11, 3, 4, 5],
      [1, 5, 7, 2, 41, 49],
    ],
    inputs: (shape) => [named('x', shape.slice(0, 4)), shape.slice(4)],
    tolerance: () => 0,
  },
  sinCos: {
    shapes: [[1], [3, 7], [500]],
    inputs: (shape) => [named('angles', shape, -2000, 2000)],
    // WGSL allows errors of 2^-11 in its own sine and cosine.
    tolerance: () => (testBackend === 'webgpu' ? 2 ** -11 : ROUNDING),
  },
};

/** Formulations that call kernels of libtensorflow, which no other backend has. */
const ofTensorflow = [
  'attend.direct',
  'attend.oneDNN',
  'channelMean.direct',
  'channelMean.product',
  'channelMeanSquare.euclidean',
  'channelMeanSquare.inRuns',
  'conv2dFormulations.oneDNN',
  'conv2dFormulations.winograd',
  'gegluFormulations.complementary',
  'layerNormFormulations.euclidean',
  'layerNormFormulations.oneDNN',
  'linearFormulations.direct',
  'linearFormulations.oneDNN',
  'resizeNearestFormulations.oneKernel',
  'siluFormulations.softplusGrad',
];
/** Those of them that a graphics card has not. */
const ofProcessor = [
  'attend.oneDNN',
  'conv2dFormulations.oneDNN',
  'conv2dFormulations.winograd',
  'layerNormFormulations.oneDNN',
  'linearFormulations.oneDNN',
];
const runsHere = (formulation: string) =>
  testBackend === 'tensorflow' ||
  !(ofTensorflow.includes(formulation) || formulation.endsWith('.half'));

/**
 * Units of roundoff. Two inputs and the result of a product are rounded, the result to nearest or
 * towards zero: four units at most.
 */
const halfPrecisions = { float16: 2 ** -11, bfloat16: 2 ** -8 };

type Formulations = Record<string, (...inputs: unknown[]) => tf.Tensor | tf.Tensor[]>;
const operations = Object.entries(ops).filter(
  ([, value]) => typeof value === 'object' && 'plain' in value,
) as unknown as [string, Formulations][];

describe('formulations', () => {
  it('refuse a set that there is not', () => {
    expect(() => useFormulations('fast' as 'fastest')).to.throw('has to be one of fastest, gpu');
  });

  it('all have cases here', () => {
    expect(operations.map(([name]) => name).sort()).to.deep.equal(Object.keys(cases).sort());
  });

  for (const [operation, formulations] of operations) {
    const compare = async (
      name: string,
      shape: number[],
      tolerance?: number,
      dtype: ComputeDtype = 'float32',
    ) => {
      const inputs = cases[operation]!.inputs(shape);
      const run = (formulation: string) => () =>
        tf.stack([formulations[formulation]!(...inputs)].flat());
      await expectSame(() => computeIn(dtype, run(name)), run('plain'), tolerance);
      tf.dispose(inputs.filter((input) => input instanceof tf.Tensor));
    };
    for (const name of Object.keys(formulations).filter(
      (name) => name !== 'plain' && runsHere(`${operation}.${name}`),
    )) {
      for (const shape of cases[operation]?.shapes ?? []) {
        if (name === 'half') {
          for (const [dtype, roundoff] of Object.entries(halfPrecisions)) {
            it(`${operation}.half in ${dtype} is near the plain one at [${shape}]`, () =>
              compare(name, shape, 4 * roundoff, dtype as ComputeDtype));
          }
        } else {
          it(`${operation}.${name} equals the plain one at [${shape}]`, function () {
            if (deviceName() === 'tensorflow-gpu' && ofProcessor.includes(`${operation}.${name}`))
              this.skip();
            return compare(name, shape, cases[operation]!.tolerance?.(shape));
          });
        }
      }
    }
  }

  it('are chosen by device, and all plain when asked', () => {
    const chosen = () => [
      formulationOf('attention', attend),
      formulationOf('channelMean', channelMean),
    ];
    const fastest: Record<string, unknown[]> = {
      'tensorflow-gpu': [attend.direct, channelMean.direct],
      wasm: [attend.perMatrix, channelMean.pooled],
      webgpu: [attend.plain, channelMean.pooled],
      'tensorflow-cpu': [attend.oneDNN, channelMean.product],
    };
    const device = testFormulation === 'gpu' ? 'tensorflow-gpu' : deviceName();
    const fast = (testFormulation !== 'plain' && fastest[device]) || [
      attend.plain,
      channelMean.plain,
    ];
    expect(chosen()).to.deep.equal(fast);
    useFormulations('plain');
    try {
      expect(chosen()).to.deep.equal([attend.plain, channelMean.plain]);
    } finally {
      useFormulations(testFormulation);
    }
    expect(chosen()).to.deep.equal(fast);
  });

  it('are plain while gradients are recorded', () => {
    const x = tf.ones([2, 3, 4]);
    let during: unknown;
    const gradient = tf.grad((x) => {
      during = formulationOf('channelMean', channelMean);
      return tf.square(x);
    })(x);
    expect(during).to.equal(channelMean.plain);
    tf.dispose([x, gradient]);
  });

  it('of half precision are float32 while gradients are recorded', async () => {
    const [x, weight] = [named<tf.Tensor2D>('x', [3, 5]), named<tf.Tensor2D>('weight', [5, 4])];
    const run = () => tf.grad((x: tf.Tensor) => ops.linear(x, weight))(x);
    const gradients = tf.tidy(() => [computeIn('float16', run), run()]);
    const [ours, expected] = await Promise.all(gradients.map((gradient) => gradient.array()));
    tf.dispose([...gradients, x, weight]);
    expect(ours).to.deep.equal(expected);
  });

  it('of half precision name the backend they need', function () {
    if (testBackend === 'tensorflow') return this.skip();
    const x = tf.ones<tf.Rank.R2>([2, 2]);
    const product = () => tf.tidy(() => computeIn('float16', () => ops.linear(x, x)));
    expect(product).to.throw(
      `float16 needs the tensorflow backend but the backend is ${testBackend}`,
    );
    x.dispose();
  });

  it('leave the plain one to operations that have no faster one', () => {
    const operation: { plain: string } & Record<string, string> = {
      plain: 'plain',
      other: 'other',
    };
    expect(formulationOf('none', operation)).to.equal('plain');
  });
});
