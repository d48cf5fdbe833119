/**
 * A video model of your own that mixes a layer of Stable Video Diffusion with those of
 * TensorFlow.js, and learns: it tells whether a square moves to the left or to the right, which no
 * frame shows by itself.
 *
 *     npx tsx examples/customVideoModel.ts [STEPS]
 */
import * as tf from '@tensorflow/tfjs';
import { useBackend } from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'
import { TransformerSpatioTemporalModel } from '../src/layers/index.ts'; // .../layers

const steps = Number(process.argv[2] ?? 100);
// The wasm backend has no gradients of convolutions: training is for tensorflow, or slowly for cpu.
await useBackend('tensorflow').catch(() => useBackend('cpu'));

const [videos, numFrames, size] = [6, 3, 6];

// Frames are in the first axis, those of a video in a row; layers that mix them are told how many
// there are.
const frames = tf.input({ shape: [size, size, 1] });
const features = tf.layers
  .conv2d({ filters: 32, kernelSize: 3, padding: 'same', activation: 'relu' })
  .apply(frames) as tf.SymbolicTensor;
const context = tf.layers
  .reshape({ targetShape: [1, 32] })
  .apply(tf.layers.globalMaxPooling2d({}).apply(features)) as tf.SymbolicTensor;
const transformer = new TransformerSpatioTemporalModel({
  inChannels: 32,
  numAttentionHeads: 2,
  attentionHeadDim: 16,
  crossAttentionDim: 32,
});
const mixed = transformer.apply([features, context], { numFrames });
const pooled = tf.layers.globalAveragePooling2d({}).apply(mixed);
const output = tf.layers
  .dense({ units: 1, activation: 'sigmoid' })
  .apply(pooled) as tf.SymbolicTensor;
const model = tf.model({ inputs: frames, outputs: output });
model.summary();

/**
 * Video i shows a square that goes left or right by a pixel a frame; every frame has the label of
 * its video.
 */
const movesRight = (video: number) => video % 2;
const pixels = tf.buffer([videos * numFrames, size, size, 1]);
for (let video = 0; video < videos; video++) {
  for (let frame = 0; frame < numFrames; frame++) {
    const x = movesRight(video) ? 1 + frame : size - 3 - frame;
    for (const [dy, dx] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const)
      pixels.set(1, video * numFrames + frame, (video >> 1) + dy, x + dx, 0);
  }
}
const labels = tf.tensor2d(
  Array.from({ length: videos * numFrames }, (_, i) => [movesRight(Math.floor(i / numFrames))]),
);

model.compile({
  optimizer: tf.train.adam(2e-3),
  loss: 'binaryCrossentropy',
  metrics: ['accuracy'],
});
// A batch holds whole videos, and shuffling single frames would tear them apart.
const fitting = { epochs: steps, batchSize: videos * numFrames, shuffle: false, verbose: 0 };
const { history } = await model.fit(pixels.toTensor(), labels, fitting);
const [loss, accuracy] = [history.loss as number[], history.acc as number[]];
console.log(
  `loss ${loss[0]!.toFixed(3)} -> ${loss.at(-1)!.toFixed(3)}, accuracy ${accuracy.at(-1)!.toFixed(2)}`,
);
