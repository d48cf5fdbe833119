/**
 * What layers say to wrong arguments and inputs: the value, what is allowed, and where there is one
 * diffusers' message.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AlphaBlender,
  type AlphaBlenderArgs,
  type AnyBlock,
  Attention,
  attentionsIn,
  BasicTransformerBlock,
  Block,
  GroupNormalization,
  type LayerArgs,
  limitScores,
  ResnetBlock2D,
  SpatioTemporalResBlock,
  TemporalBasicTransformerBlock,
  TemporalConv,
  TransformerSpatioTemporalModel,
  weightedLayersIn,
} from '../../src/layers/index.ts';
import { BATCH, layerSamples } from '../harness/layerSamples.ts';

/** Expects `run` to throw `message` and to leave no tensor. */
function expectError(run: () => unknown, message: string | RegExp): void {
  const before = tf.memory().numTensors;
  expect(() => tf.tidy(() => void run())).to.throw(message);
  expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
}

describe('wrong arguments of layers', () => {
  it('an unknown merge strategy', () => {
    expectError(
      () =>
        new AlphaBlender({
          alpha: 0.5,
          mergeStrategy: 'average' as AlphaBlenderArgs['mergeStrategy'],
        }),
      '`mergeStrategy` has to be one of learned, fixed, learned_with_images but is average.',
    );
    expectError(
      () =>
        new SpatioTemporalResBlock({
          inChannels: 32,
          mergeStrategy: '' as AlphaBlenderArgs['mergeStrategy'],
        }),
      '`mergeStrategy` has to be one of learned, fixed, learned_with_images but is "".',
    );
  });

  it('channels that the groups do not divide', () => {
    expectError(
      () => new GroupNormalization({ numChannels: 48 }),
      '`numChannels` has to be divisible by `numGroups` but they are 48 and 32.',
    );
    expectError(
      () => new ResnetBlock2D({ inChannels: 48 }),
      '`inChannels` has to be divisible by `groups` but they are 48 and 32.',
    );
    expectError(
      () => new ResnetBlock2D({ inChannels: 32, outChannels: 48 }),
      '`outChannels` has to be divisible by `groups` but they are 48 and 32.',
    );
    expectError(
      () =>
        new TransformerSpatioTemporalModel({
          inChannels: 48,
          numAttentionHeads: 4,
          attentionHeadDim: 12,
        }),
      '`inChannels` has to be divisible by 32, the groups of its normalisation, but is 48.',
    );
    expectError(
      () => new GroupNormalization({ numChannels: 10, numGroups: 4 }),
      '`numChannels` has to be divisible by `numGroups` but they are 10 and 4.',
    );
  });
});

describe('layers that cannot be built', () => {
  /** A layer of somebody else, whose arguments nobody checks. */
  class Gain extends Block<LayerArgs & { channels: number }> {
    static className = 'Gain';
    protected override buildSelf(): void {
      this.parameter('gain', [2, this.args.channels], 'same', tf.initializers.ones());
    }
    protected override forward([x]: tf.Tensor[]): tf.Tensor {
      return x;
    }
  }

  it('say which weight is the matter', () => {
    expectError(
      () => new Gain({ name: 'mine', channels: 1.5 }).build(),
      'Gain "mine" cannot be built: its gain would have the shape [2,1.5]. Check its ' +
        'arguments, {"name":"mine","channels":1.5}.',
    );
  });
});

describe('wrong inputs of layers', () => {
  const frames = () => tf.zeros([6, 2, 2, 4]);

  it('a number of frames that does not divide the batch, or is none', () => {
    const conv = new TemporalConv({ inChannels: 4, outChannels: 4 });
    conv.build();
    for (const numFrames of [4, 0, -2, 1.5, Number.NaN, '3', undefined]) {
      expectError(
        () => conv.apply(frames(), { numFrames: numFrames as number }),
        '`numFrames` has to be a whole number that divides the batch of 6 frames but is ' +
          `${numFrames === '3' ? '"3"' : numFrames}.`,
      );
    }
    conv.dispose();

    const norm = new GroupNormalization({ numChannels: 4, numGroups: 2 });
    norm.build();
    expectError(
      () => norm.apply(frames(), { numFrames: 4 }),
      '`numFrames` has to be a whole number that divides the batch of 6 frames but is 4.',
    );
    norm.dispose();
  });

  it('another rank, other channels, another number of tensors, or lengths that do not agree', () => {
    const block = new ResnetBlock2D({ name: 'mine', inChannels: 32, tembChannels: 8 });
    const [x, temb] = [() => tf.zeros([2, 4, 4, 32]), () => tf.zeros([2, 8])];
    expectError(
      () => block.apply([tf.zeros([2, 16, 32]), temb()]),
      'ResnetBlock2D "mine": x has to be of shape [N, H, W, 32] but is [2,16,32].',
    );
    expectError(
      () => block.apply([tf.zeros([1, 1, 2, 4, 4, 32]), temb()]),
      'ResnetBlock2D "mine": x has to be of shape [N, H, W, 32] but is [1,1,2,4,4,32].',
    );
    expectError(
      () => block.apply([tf.zeros([2, 4, 4, 3]), temb()]),
      'ResnetBlock2D "mine": x has to be of shape [N, H, W, 32] but is [2,4,4,3].',
    );
    expectError(
      () => block.apply([x(), tf.zeros([3, 8])]),
      'ResnetBlock2D "mine": temb has to be of shape [N, 8] with N = 2 but is [3,8].',
    );
    expectError(
      () => block.apply(x()),
      'ResnetBlock2D "mine" takes the array of x [N, H, W, 32], temb [N, 8] but is given one ' +
        'tensor [2,4,4,32].',
    );
    expectError(
      () => block.apply([x(), temb(), temb()]),
      'ResnetBlock2D "mine" takes the array of x [N, H, W, 32], temb [N, 8] but is given 3 ' +
        'tensors.',
    );
    expectError(
      () =>
        new SpatioTemporalResBlock({ name: 'video', inChannels: 32 }).apply([x(), x(), x()], {
          numFrames: 1,
        }),
      'SpatioTemporalResBlock "video" takes the array of x [B*F, H, W, 32], ' +
        'imageOnlyIndicator [B, F] (optional) but is given 3 tensors.',
    );
    // In a model too, where lengths may be unknown.
    expect(() => block.apply([tf.input({ shape: [4, 4, 3] }), tf.input({ shape: [8] })])).to.throw(
      'but is [,4,4,3].',
    );
    expect(block.built).to.equal(false);
  });

  it('two branches that do not agree, or an indicator for other frames', () => {
    const blend = new AlphaBlender({ name: 'mine', alpha: 0.5 });
    const frames = (...shape: number[]) => tf.zeros(shape);
    expectError(
      () => blend.apply([frames(4, 2, 3, 8), frames(4, 6, 8)]),
      'AlphaBlender "mine": temporal has to be of shape [B*F, 2, 3, C] with B*F = 4, C = 8 ' +
        'but is [4,6,8].',
    );
    expectError(
      () => blend.apply([frames(4, 2, 3, 8), frames(4, 2, 1, 8)]),
      'AlphaBlender "mine": temporal has to be of shape [B*F, 2, 3, C] with B*F = 4, C = 8 ' +
        'but is [4,2,1,8].',
    );
    expectError(
      () => blend.apply([frames(4, 6, 8), frames(4, 6, 8), frames(3, 2)]),
      'AlphaBlender "mine": imageOnlyIndicator has to be of shape [B, F] with B*F = 4 but is ' +
        '[3,2].',
    );
    expect(() =>
      blend.apply([tf.input({ shape: [null, 8] }), tf.input({ shape: [5, 7] })]),
    ).to.throw(
      'AlphaBlender "mine": temporal has to be of shape [B*F, ?, C] with C = 8 but is [,5,7].',
    );
    expect(blend.built).to.equal(false);
  });

  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: another rank or other channels in each of its inputs`, () => {
      const layer = sample.make('mine');
      const inputs = Object.keys(layer.inputAxes!).map((input) => input.replace('?', ''));
      const right = sample.shapes.map((shape) => [BATCH, ...shape]);
      const expectSentence = (i: number, wrong: number[]) => {
        const input = inputs[i]!.replace(/[[\]]/g, '\\$&');
        expectError(
          () =>
            layer.apply(
              right.map((shape, j) => tf.zeros(j === i ? wrong : shape)),
              sample.kwargs,
            ),
          new RegExp(
            `^${name} "mine": ${input} has to be of shape \\[.+\\] .*but is \\[${wrong}\\]\\.$`,
          ),
        );
      };
      for (const [i, shape] of right.entries()) {
        const axes = Object.values(layer.inputAxes!)[i]!;
        // Where any axes may be between, one or none is too few. Frames may have an axis.
        if (!axes.includes('...')) expectSentence(i, [1, 1, ...shape]);
        expectSentence(i, shape.slice(0, axes.includes('...') ? axes.length - 2 : axes.length - 1));
        // Some channels are free, until an input before has fixed them.
        if (typeof axes.at(-1) === 'number' || i > 0)
          expectSentence(i, [...shape.slice(0, -1), shape.at(-1)! + 1]);
      }
      expect(layer.built).to.equal(false);
    });
  }

  it('contexts that cannot be shared evenly', () => {
    const args = { dim: 8, numAttentionHeads: 2, attentionHeadDim: 4, crossAttentionDim: 6 };
    const message = (items: number) =>
      `The number of contexts has to divide the ${items} items that attend to them but is 3.`;
    for (const tokens of [1, 2]) {
      const block = new BasicTransformerBlock(args);
      block.build();
      expectError(() => block.apply([tf.zeros([4, 5, 8]), tf.zeros([3, tokens, 6])]), message(4));
      block.dispose();
      const temporal = new TemporalBasicTransformerBlock(args);
      temporal.build();
      expectError(
        () => temporal.apply([tf.zeros([4, 5, 8]), tf.zeros([3, tokens, 6])], { numFrames: 2 }),
        message(10),
      ); // 2 videos of 5 pixels
      temporal.dispose();
    }
    const attention = new Attention({ queryDim: 8, crossAttentionDim: 6, heads: 2, dimHead: 4 });
    attention.build();
    expectError(() => attention.apply([tf.zeros([4, 5, 8]), tf.zeros([3, 2, 6])]), message(4));
    attention.dispose();

    const transformer = new TransformerSpatioTemporalModel({
      inChannels: 32,
      numAttentionHeads: 4,
      attentionHeadDim: 8,
      crossAttentionDim: 6,
    });
    transformer.build();
    expectError(
      () => transformer.apply([tf.zeros([4, 2, 2, 32]), tf.zeros([1, 1, 6])], { numFrames: 2 }),
      'The number of contexts has to be that of videos, 2, or that of frames, 4, but is 1.',
    );
    transformer.dispose();
  });

  it('scores that may take no bytes', () => {
    const attention = new Attention({ queryDim: 8, heads: 2, dimHead: 4 });
    for (const bytes of [0, -1, Number.NaN])
      expectError(
        () => limitScores(attention, bytes),
        `\`bytes\` has to be a number above 0 but is ${bytes}.`,
      );
  });

  it('functions of layers: what is no layer of this package', () => {
    for (const [name, work] of Object.entries({ attentionsIn, limitScores, weightedLayersIn }))
      for (const none of [undefined, null, 5, tf.layers.flatten()])
        expect(() => work(none as unknown as AnyBlock, 1)).to.throw(
          `\`${name}\` takes a layer of this package first, not `,
        );
  });

  it('what is no tensor, or has been disposed of', () => {
    const layer = new TemporalConv({ name: 'mine', inChannels: 2, outChannels: 2 });
    const call = (input: unknown) => () => layer.apply(input as tf.Tensor, { numFrames: 2 });
    for (const [input, shown] of [
      [[[1, 2]], '[1,2]'],
      [5, '5'],
      [undefined, 'undefined'],
      [[null], 'null'],
      [new Float32Array(2), 'a Float32Array'],
    ] as const)
      expectError(
        call(input),
        `TemporalConv "mine" takes tensors, which \`tf.tensor\` makes, but is given ${shown}.`,
      );
    expectError(call([]), 'TemporalConv "mine" takes tensors but is given an empty list.');
    const gone = tf.ones([2, 1, 1, 2]);
    gone.dispose();
    expectError(call(gone), 'is given a tensor [2,1,1,2] that has been disposed of.');
    expect(layer.built).to.equal(false);
  });

  it('slices that do not divide the axis', () => {
    const args = { dim: 8, numAttentionHeads: 2, attentionHeadDim: 4 };
    const message = (length: number, size: number) =>
      `\`hidden_states\` dimension to be chunked: ${length} has to be divisible by chunk ` +
      `size: ${size}. ` +
      'Make sure to set an appropriate `chunkSize` when calling `unet.enableForwardChunking`.';
    const block = new BasicTransformerBlock(args);
    block.build();
    block.setChunkFeedForward(4, 0);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(6, 4));
    block.setChunkFeedForward(2, 1);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(5, 2));
    block.setChunkFeedForward(-1, 1);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(5, -1));
    block.setChunkFeedForward(0.5, 1);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(5, 0.5));
    block.dispose();

    // Temporal blocks take slices of frames.
    const temporal = new TemporalBasicTransformerBlock(args);
    temporal.build();
    temporal.setChunkFeedForward(2);
    expectError(() => temporal.apply([tf.zeros([6, 4, 8])], { numFrames: 3 }), message(3, 2));
    temporal.dispose();
  });
});
