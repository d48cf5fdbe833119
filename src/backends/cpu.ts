/** The plain JavaScript backend of TensorFlow.js: slow, and always there. */
import * as tf from '@tensorflow/tfjs';
import { processorName } from './packages.ts';
import type { Prepared } from './types.ts';

/**
 * Makes the cpu backend ready without its advice to install tfjs-node, which `svd backends` gives
 * better.
 */
export async function prepareCpu(): Promise<Prepared> {
  const backend = tf.findBackend('cpu') as unknown as { firstUse: boolean };
  backend.firstUse = false;
  return { package: '@tensorflow/tfjs', version: tf.version.tfjs, device: processorName() };
}
