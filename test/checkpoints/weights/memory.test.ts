import { expect } from 'chai';
import { BytePool } from '../../../src/checkpoints/weights/memory.ts';

describe('BytePool', () => {
  it('lends again what was given back, also for fewer bytes', () => {
    const pool = new BytePool();
    const sizes = [1_000_000, 3_000_000, 7];
    const first = sizes.map((bytes) => pool.acquire(bytes));
    expect(first.map(({ length }) => length)).to.deep.equal(sizes);
    for (const memory of first) pool.release(memory);
    const second = [2_000_000, 900_000].map((bytes) => pool.acquire(bytes));
    expect(second[0].buffer).to.equal(first[1].buffer);
    expect(second[1].buffer).to.equal(first[0].buffer);
    expect(pool.acquire(2_000_000).buffer).to.not.be.oneOf(first.map(({ buffer }) => buffer));
  });

  it('ignores what is not from it, or has been given back', () => {
    const pool = new BytePool();
    const taken = pool.acquire(64);
    pool.release(new Uint8Array(100_000));
    pool.release(taken);
    pool.release(taken);
    expect(pool.acquire(64).buffer).to.equal(taken.buffer);
    expect(pool.acquire(64).buffer).to.not.equal(taken.buffer);
  });

  it('keeps a few pieces, the largest', () => {
    const pool = new BytePool((bytes) => new Uint8Array(bytes), 2);
    const taken = [100_000, 300_000, 200_000].map((bytes) => pool.acquire(bytes));
    for (const memory of taken) pool.release(memory);
    expect(pool.acquire(100_000).buffer).to.equal(taken[2].buffer);
    expect(pool.acquire(100_000).buffer).to.equal(taken[1].buffer);
  });
});
