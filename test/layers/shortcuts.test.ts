/**
 * Exact shortcuts of the layers against the plain paths: one-token attention, contexts shared by
 * frames or pixels, feed-forwards in slices.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  Attention,
  BasicTransformerBlock,
  chunkedFeedForward,
  FeedForward,
  repeatContexts,
  TemporalBasicTransformerBlock,
  TransformerSpatioTemporalModel,
} from '../../src/layers/index.ts';
import { gelu, linear } from '../../src/ops/index.ts';
import { fillByName } from '../harness/nameHash.ts';
import { expectSame, named } from '../ops/random.ts';

describe('attention to one token', () => {
  it('is the same vector for every query', async () => {
    const attention = new Attention({ queryDim: 12, crossAttentionDim: 6, heads: 3, dimHead: 5 });
    await fillByName(attention);
    const [x, context] = [named('x', [4, 7, 12]), named('context', [4, 1, 6])];
    await expectSame(
      () => tf.add(tf.zerosLike(x), attention.attendToOne(context)),
      () => attention.call([x, context]),
    );
    tf.dispose([x, context]);
    attention.dispose();
  });

  it('of a zero context, as without guidance, is the bias of the last projection', async () => {
    const attention = new Attention({ queryDim: 12, crossAttentionDim: 6, heads: 3, dimHead: 5 });
    await fillByName(attention);
    const bias = attention.parameters().find(({ key }) => key === 'to_out.0.bias')!.variable;
    await expectSame(
      () => tf.reshape(attention.attendToOne(tf.zeros([1, 1, 6])), [12]),
      () => tf.clone(bias.read()),
    );
    attention.dispose();
  });
});

const args = { dim: 32, numAttentionHeads: 4, attentionHeadDim: 8, crossAttentionDim: 6 };
const [batch, frames, pixels] = [2, 3, 5];

/** The context of each video for each of its frames, and of each video for each of its pixels. */
const repeated = (context: tf.Tensor, times: number) =>
  repeatContexts(context as tf.Tensor3D, batch * times);

describe('a context shared', () => {
  for (const tokens of [1, 3]) {
    it(`by the frames of a video, ${tokens} tokens`, async () => {
      const block = new BasicTransformerBlock(args);
      await fillByName(block);
      const [x, context] = [
        named('x', [batch * frames, pixels, 32]),
        named('context', [batch, tokens, 6]),
      ];
      await expectSame(
        () => block.call([x, context]),
        () => block.call([x, repeated(context, frames)]),
      );
      tf.dispose([x, context]);
      block.dispose();
    });

    it(`by the pixels of a video, ${tokens} tokens`, async () => {
      const block = new TemporalBasicTransformerBlock(args);
      await fillByName(block);
      const [x, context] = [
        named('x', [batch * frames, pixels, 32]),
        named('context', [batch, tokens, 6]),
      ];
      await expectSame(
        () => block.call([x, context], { numFrames: frames }),
        () => block.call([x, repeated(context, pixels)], { numFrames: frames }),
      );
      tf.dispose([x, context]);
      block.dispose();
    });

    it(`in a whole transformer, ${tokens} tokens`, async () => {
      const { numAttentionHeads, attentionHeadDim, crossAttentionDim } = args;
      const model = new TransformerSpatioTemporalModel({
        inChannels: 32,
        numAttentionHeads,
        attentionHeadDim,
        crossAttentionDim,
      });
      await fillByName(model);
      const [x, context] = [
        named('x', [batch * frames, 2, 3, 32]),
        named('context', [batch, tokens, 6]),
      ];
      await expectSame(
        () => model.call([x, context], { numFrames: frames }),
        () => model.call([x, repeated(context, frames)], { numFrames: frames }),
      );
      tf.dispose([x, context]);
      model.dispose();
    });
  }

  it('counts in the order of the videos', async () => {
    const context = named('context', [2, 1, 3]);
    const [a, b] = (await context.array()) as number[][][];
    const six = repeatContexts(context as tf.Tensor3D, 6);
    expect(await six.array()).to.deep.equal([a, a, a, b, b, b]);
    tf.dispose([context, six]);
  });
});

describe('feed-forwards in slices', () => {
  let feedForward: FeedForward;
  before(async () => {
    feedForward = new FeedForward({ dim: 8 });
    await fillByName(feedForward);
  });
  after(() => feedForward.dispose());

  for (const [shape, size, dim] of [
    [[6, 4, 8], 2, 0],
    [[6, 4, 8], 6, 0],
    [[6, 4, 8], 1, 1],
    [[2, 3, 5, 8], 3, 1],
    [[2, 3, 5, 8], 1, 0],
  ] as const) {
    it(`of ${size} along axis ${dim} of [${shape}] equal the whole`, async () => {
      const x = named('x', [...shape]);
      await expectSame(
        () => chunkedFeedForward(feedForward, x, { size, dim }),
        () => feedForward.call(x),
      );
      x.dispose();
    });
  }

  it('equal the whole in both kinds of transformer block', async () => {
    for (const Class of [BasicTransformerBlock, TemporalBasicTransformerBlock]) {
      const block = new Class(args);
      await fillByName(block);
      const [x, context] = [
        named('x', [batch * frames, pixels, 32]),
        named('context', [batch, 1, 6]),
      ];
      const run = () => block.call([x, context], { numFrames: frames });
      const whole = run();
      for (const dim of [0, 1] as const) {
        block.setChunkFeedForward(1, dim);
        await expectSame(run, () => tf.clone(whole));
      }
      block.setChunkFeedForward(undefined, 0);
      await expectSame(run, () => tf.clone(whole));
      tf.dispose([x, context, whole]);
      block.dispose();
    }
  });
});

describe('a feed-forward that takes much memory', () => {
  /**
   * Maps above what a processor takes at a time, in parts of unequal size, and tokens above it, in
   * slices of unequal size.
   */
  for (const [dim, mult, tokens] of [
    [700, 5, 3],
    [4, 3, 100_001],
  ] as const) {
    it(`equals one map after the other: ${tokens} tokens of ${dim} channels`, async () => {
      const layer = new FeedForward({ dim, mult });
      layer.build();
      const values = Object.fromEntries(
        layer.parameters().map(({ key, variable }) => [key, variable.read()]),
      );
      const x = named('x', [tokens, dim]);
      await expectSame(
        () => layer.call(x),
        () => {
          const both = linear(
            x,
            values['net.0.proj.weight'] as tf.Tensor2D,
            values['net.0.proj.bias'] as tf.Tensor1D,
          );
          const [value, gate] = tf.split(both, 2, -1);
          return linear(
            tf.mul(value, gelu(gate)),
            values['net.2.weight'] as tf.Tensor2D,
            values['net.2.bias'] as tf.Tensor1D,
          );
        },
      );
      x.dispose();
      layer.dispose();
    });
  }
});
