/**
 * One layer of a checkpoint in your own TensorFlow.js model: the pooled features of the VAE's first
 * residual block.
 *
 *     npx tsx examples/singleLayer.ts
 */
import * as tf from '@tensorflow/tfjs';
import { packagedModel, useBackend } from 'stable-video-diffusion-tfjs';
import { loadLayerWeights } from 'stable-video-diffusion-tfjs/checkpoints';
import { ResnetBlock2D } from 'stable-video-diffusion-tfjs/layers';

const { name } = await useBackend('auto');
console.log(`Reading one layer of ${packagedModel}, for ${name} ...`);
const features = new ResnetBlock2D({
  name: 'features',
  inChannels: 64,
  inputShape: [null, null, 64],
});
const model = tf.sequential({ layers: [features, tf.layers.globalAveragePooling2d({})] });

// The path of a layer is the prefix of its keys in the checkpoint. Only these tensors are read.
await loadLayerWeights(features, packagedModel, 'encoder.down_blocks.0.resnets.0');

model.summary();
const pooled = model.predict(tf.zeros([2, 16, 24, 64])) as tf.Tensor; // [2, 16, 24, 64] -> [2, 64]
console.log(
  `features of shape [${pooled.shape}], weights ${features.parameters().map(({ key }) => key)}`,
);
