import { expect } from 'chai';
import { fittingSize, LARGE } from '../../../src/ops/webgpu/reuse.ts';

describe('fittingSize', () => {
  it('gives a large tensor the smallest buffer that it fits into and fills by half', () => {
    const sizes = [LARGE, 5 * LARGE, 3 * LARGE, 2 * LARGE];
    expect(fittingSize(LARGE, sizes)).to.equal(LARGE);
    expect(fittingSize(LARGE + 4, sizes)).to.equal(2 * LARGE);
    expect(fittingSize(2.5 * LARGE, sizes)).to.equal(3 * LARGE);
    expect(fittingSize(2.4 * LARGE, [5 * LARGE])).to.equal(undefined);
    expect(fittingSize(6 * LARGE, sizes)).to.equal(undefined);
  });

  it('gives a small tensor a buffer of its size', () => {
    expect(fittingSize(400, [404, 400])).to.equal(400);
    expect(fittingSize(400, [404, 396])).to.equal(undefined);
  });
});
