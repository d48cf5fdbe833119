/** The plain JavaScript backend of TensorFlow.js: slow, but always available. */
import { version_cpu } from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { processorName } from './packages.ts';
import type { Prepared } from './types.ts';

/**
 * Makes the cpu backend ready. It does not print its advice to install tfjs-node, because `svd
 * backends` prints a better one.
 */
export async function prepareCpu(): Promise<Prepared> {
  const backend = tf.findBackend('cpu') as unknown as { firstUse: boolean };
  backend.firstUse = false;
  return {
    package: '@tensorflow/tfjs-backend-cpu',
    version: version_cpu,
    device: processorName(),
  };
}
