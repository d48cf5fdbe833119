import { expect } from 'chai';
import { compareTensors } from '../../src/verification/compareTensors.ts';

const tensor = (...data: number[]) => ({ data: Float32Array.from(data), shape: [data.length] });

describe('compareTensors', () => {
  it('measures differences, angle and equal bytes', () => {
    const result = compareTensors(tensor(0, 0.5, 1, 0.25), tensor(0, 0.5, 0.75, 0.25));
    expect(result).to.deep.include({
      shape: [4],
      maxAbs: 0.25,
      equalBytes: 0.75,
      largestByteDifference: 255 - 191,
    });
    expect(result.relativeL2).to.be.closeTo(0.25 / Math.sqrt(0.25 + 0.5625 + 0.0625), 1e-12);
    expect(result.cosine).to.be.closeTo(
      (0.25 + 0.75 + 0.0625) / Math.sqrt((0.25 + 1 + 0.0625) * 0.875),
      1e-12,
    );
  });

  it('takes values outside of [0, 1] for black and white', () => {
    expect(compareTensors(tensor(-3, 2), tensor(0, 1))).to.include({
      maxAbs: 3,
      equalBytes: 1,
      largestByteDifference: 0,
    });
  });

  it('finds equal tensors equal, zeros too', () => {
    for (const values of [tensor(1, -2), tensor(0, 0), tensor()]) {
      const { relativeL2, cosine, maxAbs } = compareTensors(values, values);
      expect([relativeL2, maxAbs]).to.deep.equal([0, 0]);
      expect(cosine).to.be.closeTo(1, 1e-12);
    }
  });

  it('lets no value that is not finite pass', () => {
    for (const data of [
      tensor(1, Number.NaN, 3),
      tensor(Number.NaN, 2, 3),
      tensor(1, 2, Number.POSITIVE_INFINITY),
    ]) {
      const { relativeL2, maxAbs } = compareTensors(data, tensor(1, 2, 3));
      expect(relativeL2 <= 1).to.equal(false);
      expect(maxAbs <= 1).to.equal(false);
    }
  });

  it('refuses another shape', () => {
    expect(() => compareTensors(tensor(1, 2), tensor(1))).to.throw(
      'The shape is [2] but should be [1].',
    );
  });
});
