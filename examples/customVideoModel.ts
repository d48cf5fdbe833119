/**
 * A video model of your own that combines a layer of Stable Video Diffusion with layers of
 * TensorFlow.js. It learns whether a square moves left or right, which no single frame shows.
 *
 *     npx tsx examples/customVideoModel.ts [STEPS]
 */
import * as tf from '@tensorflow/tfjs';
import { useBackend } from 'stable-video-diffusion-tfjs';
import { TransformerSpatioTemporalModel } from 'stable-video-diffusion-tfjs/layers';

// The wasm backend has no gradients of convolutions: train on tensorflow, or slowly on cpu.
const { name } = await useBackend('tensorflow').catch(() => useBackend('cpu'));
const steps = Number(process.argv[2] ?? (name === 'cpu' ? 8 : 100)); // it learns in about 50

const [videos, numFrames, size] = [6, 3, 6];
const conv = tf.layers.conv2d({ filters: 32, kernelSize: 3, padding: 'same', activation: 'relu' });
const transformer = new TransformerSpatioTemporalModel({
  inChannels: 32,
  numAttentionHeads: 2,
  attentionHeadDim: 16,
  crossAttentionDim: 32,
});

// The first axis holds the frames of all videos, those of a video in a row. A layer that mixes
// frames needs their number.
const frames = tf.input({ shape: [size, size, 1] });
const features = conv.apply(frames) as tf.SymbolicTensor;
const strongest = tf.layers.globalMaxPooling2d({}).apply(features);
const context = tf.layers.reshape({ targetShape: [1, 32] }).apply(strongest) as tf.SymbolicTensor;
const mixed = transformer.apply([features, context], { numFrames });
const pooled = tf.layers.globalAveragePooling2d({}).apply(mixed);
const outputs = tf.layers.dense({ units: 1, activation: 'sigmoid' }).apply(pooled);
const model = tf.model({ inputs: frames, outputs: outputs as tf.SymbolicTensor });
model.summary();

// In every second video a square of 2 x 2 pixels moves right, in the others left: a pixel a frame.
const pixels = tf.buffer([videos * numFrames, size, size, 1]);
const labels = tf.buffer([videos * numFrames, 1]);
for (let i = 0; i < videos * numFrames; i++) {
  const [video, frame] = [Math.floor(i / numFrames), i % numFrames];
  const movesRight = video % 2;
  labels.set(movesRight, i, 0);
  const [x, y] = [movesRight ? 1 + frame : size - 3 - frame, video >> 1];
  for (const corner of [0, 1, 2, 3]) pixels.set(1, i, y + (corner >> 1), x + (corner & 1), 0);
}

const optimizer = tf.train.adam(2e-3);
model.compile({ optimizer, loss: 'binaryCrossentropy', metrics: ['accuracy'] });
console.log(`Training for ${steps} steps on ${name} ...`);
const { history } = await model.fit(pixels.toTensor(), labels.toTensor(), {
  ...{ epochs: steps, verbose: 0 },
  ...{ batchSize: videos * numFrames, shuffle: false }, // a batch holds whole videos
});
const [loss, accuracy] = [history.loss as number[], history.acc as number[]];
const [first, last] = [loss[0]!.toFixed(3), loss.at(-1)!.toFixed(3)];
console.log(`loss ${first} -> ${last}, accuracy ${accuracy.at(-1)!.toFixed(2)}`);
