/**
 * One layer of a checkpoint inside a TensorFlow.js model of your own: features of the VAE's first
 * residual block, pooled.
 *
 *     npx tsx examples/singleLayer.ts
 */
import * as tf from '@tensorflow/tfjs';
import { loadLayerWeights, useBackend } from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'
import { ResnetBlock2D } from '../src/layers/index.ts'; // .../layers

await useBackend('auto');
const features = new ResnetBlock2D({
  name: 'features',
  inChannels: 64,
  inputShape: [null, null, 64],
});
const model = tf.sequential({ layers: [features, tf.layers.globalAveragePooling2d({})] });

// A weight's path below the layer is its key in the checkpoint, so one path says which layer is
// meant. Nothing else is read.
await loadLayerWeights(features, 'weights/tiny', 'encoder.down_blocks.0.resnets.0');

model.summary();
const pooled = model.predict(tf.zeros([2, 16, 24, 64])) as tf.Tensor; // [2, 16, 24, 64] -> [2, 64]
console.log(
  `features of shape [${pooled.shape}], weights ${features.parameters().map(({ key }) => key)}`,
);
