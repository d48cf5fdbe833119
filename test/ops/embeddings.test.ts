/**
 * Sines and cosines against double precision, up to the largest angles that a network's embeddings
 * take.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { sinCos, timestepEmbedding } from '../../src/ops/index.ts';
import { expectSame } from './random.ts';

describe('sinCos', () => {
  it('of quarter turns and their neighbours, and of angles up to thousands', async () => {
    const turns = Array.from({ length: 41 }, (_, i) => ((i - 20) * Math.PI) / 4).flatMap(
      (angle) => [angle - 1e-3, angle, angle + 1e-3],
    );
    const angles = Float32Array.from([...turns, 0, 127, 700, 1023, -2000, 3999.5]);
    const [sine, cosine] = tf.tidy(() => sinCos.polynomial(tf.tensor1d(angles)));
    const [sines, cosines] = await Promise.all([sine.data(), cosine.data()]);
    for (const [i, angle] of angles.entries()) {
      expect(sines[i], `sine of ${angle}`).to.be.closeTo(Math.sin(angle), 5e-7);
      expect(cosines[i], `cosine of ${angle}`).to.be.closeTo(Math.cos(angle), 5e-7);
    }
    tf.dispose([sine, cosine]);
  });
});

describe('timestepEmbedding', () => {
  it('has a row for each scalar', async () => {
    const t = [-2, 0, 1.25, 127, 500];
    await expectSame(
      () => timestepEmbedding(tf.tensor1d(t), 10),
      () => tf.concat(t.map((value) => timestepEmbedding(tf.tensor1d([value]), 10))),
    );
  });
});
