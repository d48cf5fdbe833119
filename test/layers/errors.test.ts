/** What layers say to wrong arguments and inputs: the value, what is allowed, and where there is one diffusers' message. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AlphaBlender,
  type AlphaBlenderArgs,
  BasicTransformerBlock,
  GroupNormalization,
  ResnetBlock2D,
  SpatioTemporalResBlock,
  TemporalBasicTransformerBlock,
  TemporalConv,
  TransformerSpatioTemporalModel,
} from '../../src/layers/index.ts';

/** Expects `run` to throw `message` and to leave no tensor. */
function expectError(run: () => unknown, message: string): void {
  const before = tf.memory().numTensors;
  expect(() => tf.tidy(() => void run())).to.throw(message);
  expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
}

describe('wrong arguments of layers', () => {
  it('an unknown merge strategy', () => {
    expectError(
      () => new AlphaBlender({ alpha: 0.5, mergeStrategy: 'average' as AlphaBlenderArgs['mergeStrategy'] }),
      '`mergeStrategy` has to be one of learned, fixed, learned_with_images but is average.',
    );
    expectError(
      () => new SpatioTemporalResBlock({ inChannels: 32, mergeStrategy: '' as AlphaBlenderArgs['mergeStrategy'] }),
      '`mergeStrategy` has to be one of learned, fixed, learned_with_images but is .',
    );
  });

  it('channels that the groups do not divide', () => {
    const message = '`numChannels` has to be divisible by `numGroups` but they are 48 and 32.';
    expectError(() => new GroupNormalization({ numChannels: 48 }), message);
    expectError(() => new ResnetBlock2D({ inChannels: 48 }), message);
    expectError(() => new ResnetBlock2D({ inChannels: 32, outChannels: 48 }), message);
    expectError(() => new TransformerSpatioTemporalModel({ inChannels: 48, numAttentionHeads: 4, attentionHeadDim: 12 }), message);
    expectError(
      () => new GroupNormalization({ numChannels: 10, numGroups: 4 }),
      '`numChannels` has to be divisible by `numGroups` but they are 10 and 4.',
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
        () => conv.apply(frames(), { numFrames }),
        `\`numFrames\` has to be a whole number that divides the batch of 6 frames but is ${numFrames}.`,
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

  it('slices that do not divide the axis', () => {
    const args = { dim: 8, numAttentionHeads: 2, attentionHeadDim: 4 };
    const message = (length: number, size: number) =>
      `\`hidden_states\` dimension to be chunked: ${length} has to be divisible by chunk size: ${size}. ` +
      'Make sure to set an appropriate `chunkSize` when calling `unet.enableForwardChunking`.';
    const block = new BasicTransformerBlock(args);
    block.build();
    block.setChunkFeedForward(4, 0);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(6, 4));
    block.setChunkFeedForward(2, 1);
    expectError(() => block.apply(tf.zeros([6, 5, 8])), message(5, 2));
    block.dispose();

    // Temporal blocks take slices of frames.
    const temporal = new TemporalBasicTransformerBlock(args);
    temporal.build();
    temporal.setChunkFeedForward(2);
    expectError(() => temporal.apply([tf.zeros([6, 4, 8])], { numFrames: 3 }), message(3, 2));
    temporal.dispose();
  });
});
