/**
 * A script that setup.ts runs: loads the packages in the folder that is its argument, and prints
 * what they compute on, or why they cannot here.
 */
import * as tf from '@tensorflow/tfjs-core';
import { messageOf } from '../../text/messages.ts';
import { loadWebgpu, prepareWebgpuFrom } from './backend.ts';
import { webgpuPackages } from './packages.ts';

const packages = webgpuPackages(process.argv[2]);
await loadWebgpu(packages); // a build for another system fails here
try {
  const { package: name, version, device } = await prepareWebgpuFrom(packages, true);
  await tf.setBackend('webgpu');
  const product = (await tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])).data())[0];
  if (product !== 11) throw new Error(`[1 2] times [3 4] is 11 but it computes ${product}`);
  console.log(`${name} ${version} on ${device}`);
} catch (error) {
  console.log(`installed, but ${messageOf(error)}`);
}
process.exit(0);
