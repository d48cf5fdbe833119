/**
 * A script that setup.ts runs: loads the tfjs-node in the folder that is its argument, multiplies
 * two matrices, and prints version and device.
 */
import * as tf from '@tensorflow/tfjs-core';
import { prepareTensorflowFrom } from './backend.ts';

const [folder, variant] = process.argv.slice(2);
const { version, device, reason } = prepareTensorflowFrom(folder, '@tensorflow/tfjs-node', {
  gpu: variant === 'gpu',
});
await tf.setBackend('tensorflow');
const product = tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])).dataSync()[0];
if (product !== 11)
  throw new Error(`[1 2] times [3 4] is 11 but TensorFlow ${version} computes ${product}.`);
console.log(`tfjs-node ${version} on ${device}${reason ? `. ${reason}` : ''}`);
