/**
 * One small instance of every layer, with inputs whose first axis has the same four items, as
 * `model.fit` needs it.
 */
import * as tf from '@tensorflow/tfjs';
import type { AnyBlock, CallArgs } from '../../src/layers/index.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { inputValues } from './nameHash.ts';

export interface LayerSample {
  make: (name: string) => AnyBlock;
  /** Shapes of the inputs without the first axis. */
  shapes: number[][];
  kwargs: CallArgs;
}

/** Items in the first axis: two videos of two frames. */
export const BATCH = 4;

const picture = [4, 4, 32];
const transformer = { dim: 8, numAttentionHeads: 2, attentionHeadDim: 4, crossAttentionDim: 6 };
const block = { inChannels: 32, outChannels: 32, tembChannels: 8 };
const attention = { numAttentionHeads: 4, crossAttentionDim: 6 };
const coder = { blockOutChannels: [32], layersPerBlock: 1 };
const [temb, context, numFrames] = [[8], [1, 6], 2];

const sample = (
  make: LayerSample['make'],
  shapes: number[][],
  kwargs: CallArgs = {},
): LayerSample => ({ make, shapes, kwargs });

export const layerSamples: Record<string, LayerSample> = {
  AlphaBlender: sample((name) => new layers.AlphaBlender({ name, alpha: 0.5 }), [picture, picture]),
  Attention: sample(
    (name) =>
      new layers.Attention({ name, queryDim: 8, crossAttentionDim: 6, heads: 2, dimHead: 4 }),
    [
      [5, 8],
      [3, 6],
    ],
  ),
  BasicTransformerBlock: sample(
    (name) => new layers.BasicTransformerBlock({ name, ...transformer }),
    [
      [5, 8],
      [3, 6],
    ],
  ),
  Conv2d: sample(
    (name) => new layers.Conv2d({ name, inChannels: 32, outChannels: 4, padding: 1 }),
    [picture],
  ),
  CrossAttnDownBlockSpatioTemporal: sample(
    (name) => new layers.CrossAttnDownBlockSpatioTemporal({ name, ...block, ...attention }),
    [picture, temb, context],
    { numFrames },
  ),
  CrossAttnUpBlockSpatioTemporal: sample(
    (name) =>
      new layers.CrossAttnUpBlockSpatioTemporal({
        name,
        ...block,
        ...attention,
        prevOutputChannel: 32,
      }),
    [picture, temb, context, picture],
    { numFrames },
  ),
  DownBlockSpatioTemporal: sample(
    (name) => new layers.DownBlockSpatioTemporal({ name, ...block }),
    [picture, temb],
    { numFrames },
  ),
  DownEncoderBlock2D: sample(
    (name) => new models.DownEncoderBlock2D({ name, inChannels: 32, outChannels: 32 }),
    [picture],
  ),
  Downsample2D: sample((name) => new layers.Downsample2D({ name, channels: 32 }), [picture]),
  Encoder: sample(
    (name) => new models.Encoder({ name, ...coder, inChannels: 3, outChannels: 2 }),
    [[4, 4, 3]],
  ),
  FeedForward: sample((name) => new layers.FeedForward({ name, dim: 8 }), [[5, 8]]),
  GroupNormalization: sample(
    (name) => new layers.GroupNormalization({ name, numChannels: 32, numGroups: 8 }),
    [picture],
  ),
  LayerNorm: sample((name) => new layers.LayerNorm({ name, numChannels: 8 }), [[5, 8]]),
  Linear: sample((name) => new layers.Linear({ name, inFeatures: 8, outFeatures: 3 }), [[5, 8]]),
  MidBlockTemporalDecoder: sample(
    (name) =>
      new models.MidBlockTemporalDecoder({ name, inChannels: 32, outChannels: 32, numLayers: 2 }),
    [picture],
    { numFrames },
  ),
  ResnetBlock2D: sample((name) => new layers.ResnetBlock2D({ name, ...block }), [picture, temb]),
  SpatioTemporalResBlock: sample(
    (name) => new layers.SpatioTemporalResBlock({ name, ...block }),
    [picture, temb],
    { numFrames },
  ),
  // One context per pixel, so there are as many pixels as frames.
  TemporalBasicTransformerBlock: sample(
    (name) => new layers.TemporalBasicTransformerBlock({ name, ...transformer }),
    [
      [2, 8],
      [3, 6],
    ],
    { numFrames },
  ),
  TemporalConv: sample(
    (name) => new layers.TemporalConv({ name, inChannels: 32, outChannels: 4 }),
    [picture],
    { numFrames },
  ),
  TemporalDecoder: sample(
    (name) =>
      new models.TemporalDecoder({
        name,
        ...coder,
        layersPerBlock: 2,
        inChannels: 2,
        outChannels: 3,
      }),
    [[4, 4, 2]],
    { numFrames },
  ),
  TemporalResnetBlock: sample(
    (name) => new layers.TemporalResnetBlock({ name, ...block }),
    [picture, temb],
    { numFrames },
  ),
  TimestepEmbedding: sample(
    (name) => new layers.TimestepEmbedding({ name, inChannels: 8, timeEmbedDim: 16 }),
    [[8]],
  ),
  Timesteps: sample((name) => new layers.Timesteps({ name, numChannels: 8 }), [[1]]),
  TransformerSpatioTemporalModel: sample(
    (name) =>
      new layers.TransformerSpatioTemporalModel({
        name,
        inChannels: 32,
        attentionHeadDim: 8,
        ...attention,
      }),
    [picture, context],
    { numFrames },
  ),
  UNetMidBlock2D: sample((name) => new models.UNetMidBlock2D({ name, inChannels: 32 }), [picture]),
  UNetMidBlockSpatioTemporal: sample(
    (name) =>
      new layers.UNetMidBlockSpatioTemporal({
        name,
        inChannels: 32,
        tembChannels: 8,
        ...attention,
      }),
    [picture, temb, context],
    { numFrames },
  ),
  UpBlockSpatioTemporal: sample(
    (name) => new layers.UpBlockSpatioTemporal({ name, ...block, prevOutputChannel: 32 }),
    [picture, temb, picture],
    { numFrames },
  ),
  UpBlockTemporalDecoder: sample(
    (name) => new models.UpBlockTemporalDecoder({ name, inChannels: 32, outChannels: 32 }),
    [picture],
    {
      numFrames,
    },
  ),
  Upsample2D: sample((name) => new layers.Upsample2D({ name, channels: 32 }), [picture]),
};

/** The inputs of a sample, which follow from their places. */
export function sampleInputs({ shapes }: LayerSample): tf.Tensor[] {
  return shapes.map((shape, i) => {
    const { data } = inputValues(`sample.${i}`, [BATCH, ...shape]);
    return tf.tensor(data, [BATCH, ...shape]);
  });
}

/** A model of one layer, which is called as a user of TensorFlow.js calls it. */
export function modelOf(sample: LayerSample, layer: tf.layers.Layer): tf.LayersModel {
  const inputs = sample.shapes.map((shape) => tf.input({ shape }));
  const outputs = layer.apply(inputs.length === 1 ? inputs[0]! : inputs, sample.kwargs) as
    | tf.SymbolicTensor
    | tf.SymbolicTensor[];
  return tf.model({ inputs, outputs });
}
