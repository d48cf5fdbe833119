/**
 * Layers on inputs just above what they take at a time, against the same layers on one entry after
 * the other.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  type AnyBlock,
  Attention,
  FeedForward,
  limitScores,
  ResnetBlock2D,
  Upsample2D,
} from '../../src/layers/index.ts';
import { deviceName } from '../../src/ops/device.ts';
import { pictureBytes, sliceBytes } from '../../src/ops/index.ts';
import { fillByName } from '../harness/nameHash.ts';
import { expectSame, named } from '../ops/random.ts';

interface Case {
  create: () => AnyBlock;
  /** One entry of the first axis. */
  entry: number[];
  /** What the layer says that an entry takes, and how much is taken at a time. */
  entryBytes: number;
  budget: () => number;
  /** A further input, one row of which belongs to each entry. */
  rows?: number[];
}

const [side, channels] = [1060, 8];

const cases: Record<string, Case> = {
  'self-attention': {
    create: () => new Attention({ queryDim: 8, heads: 2, dimHead: 20 }),
    entry: [130, 8],
    entryBytes: 4 * 4 * 130 * 40,
    budget: sliceBytes,
  },
  'a feed-forward': {
    create: () => new FeedForward({ dim: 4, mult: 16 }),
    entry: [4],
    entryBytes: 4 * 4 * 64,
    budget: sliceBytes,
  },
  'a residual block': {
    create: () =>
      new ResnetBlock2D({ inChannels: 4, outChannels: channels, tembChannels: 6, groups: 2 }),
    entry: [side, side, 4],
    entryBytes: 4 * 4 * side * side * channels,
    budget: pictureBytes,
    rows: [6],
  },
  'an upsampling convolution': {
    create: () => new Upsample2D({ channels }),
    entry: [600, 600, channels],
    entryBytes: 3 * 4 * 4 * 600 * 600 * channels,
    budget: pictureBytes,
  },
};

describe('layers above what they take at a time', () => {
  before(function () {
    // Elsewhere the same code takes 16 times as much at a time, too much for a test; `inSlices`
    // itself is tested everywhere.
    if (deviceName() !== 'tensorflow-cpu') this.skip();
  });

  /** The numbers of entries of the slices that are computed. */
  async function slicesOf(work: () => unknown, entry: number[], atOnce: number): Promise<number[]> {
    const { kernels } = await tf.profile(() => tf.tidy(() => work() as tf.Tensor));
    const taken = kernels
      .filter(({ name }) => name === 'Slice')
      .map(({ outputShapes }) => outputShapes[0] as number[]);
    // What is much smaller is a part of a weight.
    return taken
      .filter(([n, ...rest]) => rest.join() === entry.join() && n! >= atOnce / 4)
      .map(([n]) => n!);
  }

  for (const [name, { create, entry, entryBytes, budget, rows }] of Object.entries(cases)) {
    it(
      `${name}: one entry too many is taken in two slices, with the same result as entry by ` +
        'entry',
      async () => {
        const layer = create();
        await fillByName(layer);
        const atOnce = Math.floor(budget() / entryBytes);
        expect(atOnce).to.be.at.least(1);
        for (const [n, slices] of [
          [atOnce, []],
          [atOnce + 1, [Math.ceil((atOnce + 1) / 2), Math.floor((atOnce + 1) / 2)]],
        ] as const) {
          const inputs = [
            named('x', [n, ...entry]),
            ...(rows ? [named('rows', [n, ...rows])] : []),
          ];
          expect(
            await slicesOf(() => layer.call(inputs), entry, atOnce),
            `${n} entries`,
          ).to.deep.equal(slices);
          if (slices.length > 0) {
            // Of entries that are small, thousands make the threshold: some at a time are as good
            // as one.
            const few = Math.ceil(n / 5);
            const part = (i: number) =>
              inputs.map((x) => tf.slice(x, i * few, Math.min(few, n - i * few)));
            await expectSame(
              () => layer.call(inputs) as tf.Tensor,
              () =>
                tf.concat(
                  Array.from({ length: Math.ceil(n / few) }, (_, i) =>
                    tf.tidy(() => layer.call(part(i)) as tf.Tensor),
                  ),
                ),
            );
          }
          tf.dispose(inputs);
        }
        layer.dispose();
      },
    );
  }
});

describe('limitScores', () => {
  it('lets scores take little at a time, with the same result within pictures and over frames', async () => {
    const attention = new Attention({ queryDim: 12, heads: 3, dimHead: 5 });
    await fillByName(attention);
    const x = named('x', [6, 70, 12]);
    const slices = async (run: () => tf.Tensor) =>
      (await tf.profile(() => tf.tidy(run))).kernels.filter(({ name }) => name === 'Slice').length;
    for (const run of [() => attention.call(x) as tf.Tensor, () => attention.overFrames(x, 3)]) {
      const whole = tf.tidy(run);
      const before = await slices(run);
      limitScores(attention, 4 * 70 * 9);
      expect(await slices(run)).to.be.above(before);
      await expectSame(run, () => tf.clone(whole));
      limitScores(attention, undefined);
      expect(await slices(run)).to.equal(before);
      whole.dispose();
    }
    x.dispose();
    attention.dispose();
  });
});
