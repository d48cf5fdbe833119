import { expect } from 'chai';
import { fittingSize, HUGE, LARGE } from '../../../src/ops/webgpu/reuse.ts';

describe('fittingSize', () => {
  it('gives a large tensor the smallest buffer that it fits into and fills by two thirds', () => {
    const sizes = [LARGE, 5 * LARGE, 3 * LARGE, 2 * LARGE];
    expect(fittingSize(LARGE, sizes)).to.equal(LARGE);
    expect(fittingSize(1.5 * LARGE, sizes)).to.equal(2 * LARGE);
    expect(fittingSize(2.5 * LARGE, sizes)).to.equal(3 * LARGE);
    expect(fittingSize(LARGE, [1.6 * LARGE])).to.equal(undefined);
    expect(fittingSize(6 * LARGE, sizes)).to.equal(undefined);
  });

  it('gives a huge one also twice as much', () => {
    expect(fittingSize(HUGE, [2 * HUGE, 3 * HUGE])).to.equal(2 * HUGE);
    expect(fittingSize(HUGE, [2 * HUGE + 4])).to.equal(undefined);
  });

  it('gives a small tensor a buffer of its size', () => {
    expect(fittingSize(400, [404, 400])).to.equal(400);
    expect(fittingSize(400, [404, 396])).to.equal(undefined);
  });
});
