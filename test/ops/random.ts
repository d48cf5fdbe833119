/**
 * Random tensors that follow from names, and distances between tensors, for the tests of this
 * folder.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { relativeL2 } from '../harness/fixtures.ts';
import { inputValues } from '../harness/nameHash.ts';

/**
 * Two orders of the same float32 sums may differ by this much, relative to the L2 norm of the
 * result.
 */
export const ROUNDING = 1e-6;

/** A tensor whose values follow from its name. */
export function named<T extends tf.Tensor = tf.Tensor>(
  name: string,
  shape: number[],
  low = -1,
  high = 1,
): T {
  return tf.tensor(inputValues(name, shape, low, high).data, shape) as T;
}

/**
 * Expects two computations to give the same shape and values within `tolerance` (relative L2),
 * leaving nothing allocated.
 */
export async function expectSame(
  actual: () => tf.Tensor,
  expected: () => tf.Tensor,
  tolerance = ROUNDING,
): Promise<void> {
  const before = tf.memory().numTensors;
  const a = tf.tidy(actual);
  expect(tf.memory().numTensors - before, 'tensors left by the computation').to.equal(1);
  const b = tf.tidy(expected);
  expect(a.shape).to.deep.equal(b.shape);
  const [ours, theirs] = await Promise.all([a.data(), b.data()]);
  tf.dispose([a, b]);
  expect(relativeL2(ours, theirs)).to.be.at.most(tolerance);
}
