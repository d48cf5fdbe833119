/** The plain JavaScript backend of TensorFlow.js: slow, but always available. */
import * as tf from '@tensorflow/tfjs';
import { processorName } from './packages.ts';
import type { Prepared } from './types.ts';

/**
 * Makes the cpu backend ready. It does not print its advice to install tfjs-node, because `svd
 * backends` prints a better one.
 */
export async function prepareCpu(): Promise<Prepared> {
  const backend = tf.findBackend('cpu') as unknown as { firstUse: boolean };
  backend.firstUse = false;
  return { package: '@tensorflow/tfjs', version: tf.version.tfjs, device: processorName() };
}
