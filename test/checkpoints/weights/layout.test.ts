import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  reversalForCheckpoint,
  reversalFromCheckpoint,
  reverseBytes,
  shapeFromCheckpoint,
  shapeInCheckpoint,
  valuesForCheckpoint,
  valuesFromCheckpoint,
} from '../../../src/checkpoints/weights/layout.ts';
import type { Layout } from '../../../src/layers/parameter.ts';

/**
 * Checkpoint shapes larger than a tile in each axis, and the permutation to the layers' axis order,
 * which drops an axis of size 1 from temporal kernels.
 */
const cases: [Layout, number[], number[], number[]][] = [
  ['same', [70], [0], [70]],
  ['linear', [130, 70], [1, 0], [70, 130]],
  ['linear', [72, 260], [1, 0], [260, 72]],
  ['linear', [72, 133], [1, 0], [133, 72]],
  ['conv2d', [72, 16, 3, 3], [2, 3, 1, 0], [3, 3, 16, 72]],
  ['conv2d', [8, 70, 4, 4], [2, 3, 1, 0], [4, 4, 70, 8]],
  ['conv2d', [67, 33, 3, 2], [2, 3, 1, 0], [3, 2, 33, 67]],
  ['conv2d', [5, 3, 1, 1], [2, 3, 1, 0], [1, 1, 3, 5]],
  ['conv2d', [3, 4, 5, 2], [2, 3, 1, 0], [5, 2, 4, 3]],
  ['temporalConv', [70, 20, 3, 1, 1], [2, 3, 1, 0], [3, 1, 20, 70]],
];

describe('weight layouts', () => {
  for (const [layout, shape, permutation, tfjsShape] of cases) {
    it(`${layout} [${shape}] becomes [${tfjsShape}] as tf.transpose gives it, and back`, async () => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i);
      expect(shapeFromCheckpoint(layout, shape)).to.deep.equal(tfjsShape);
      expect(shapeInCheckpoint(layout, tfjsShape)).to.deep.equal(shape);
      const transposed = tf.tidy(() =>
        tf.transpose(tf.tensor(values, shape.slice(0, permutation.length)), permutation),
      );
      const converted = valuesFromCheckpoint(layout, shape, values);
      expect(converted).to.deep.equal(await transposed.data());
      expect(valuesForCheckpoint(layout, tfjsShape, converted)).to.deep.equal(values);
      transposed.dispose();
    });

    it(`${layout} [${shape}] becomes [${tfjsShape}] and back in bytes as in values`, () => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i);
      const expected = valuesFromCheckpoint(layout, shape, values);
      for (const type of [Uint8Array, Uint16Array, Float32Array, Float64Array]) {
        const bytesOf = (numbers: Float32Array) => new Uint8Array(type.from(numbers).buffer);
        const reversed = (bytes: Uint8Array, reversal?: [number, number, number]) => {
          const target = new Uint8Array(bytes.length);
          if (reversal) reverseBytes(bytes, reversal, target);
          return reversal ? target : bytes;
        };
        const converted = reversed(bytesOf(values), reversalFromCheckpoint(layout, shape));
        expect(converted, type.name).to.deep.equal(bytesOf(expected));
        const back = reversed(converted, reversalForCheckpoint(layout, tfjsShape));
        expect(back, type.name).to.deep.equal(bytesOf(values));
      }
    });
  }
});
