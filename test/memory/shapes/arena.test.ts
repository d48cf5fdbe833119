import { expect } from 'chai';
import { Arena } from '../../../src/memory/shapes/arena.ts';

const MiB = 2 ** 20;

describe('Arena', () => {
  it('rounds sizes up and takes the smallest gap that is large enough', () => {
    const arena = new Arena({ granule: 16 });
    const [large, , small] = [100, 1, 60, 1].map((bytes) => arena.allocate(bytes));
    expect(arena.touchedBytes).to.equal(112 + 16 + 64 + 16);
    arena.free(large);
    arena.free(small);
    expect(arena.allocate(64)).to.equal(small);
    expect(arena.allocate(64)).to.equal(large);
    expect(arena.touchedBytes, 'nothing new').to.equal(208);
  });

  it('joins gaps that meet, whichever is freed first', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const arena = new Arena({ granule: 1 });
      const at = [10, 20, 30, 5].map((bytes) => arena.allocate(bytes));
      for (const i of order) arena.free(at[i]);
      expect(arena.allocate(60), `${order}`).to.equal(at[0]);
    }
  });

  it('cannot use gaps that lie apart, which is what fragmentation costs', () => {
    const arena = new Arena({ granule: 1 });
    const at = [10, 10, 10, 10].map((bytes) => arena.allocate(bytes));
    arena.free(at[0]);
    arena.free(at[2]);
    arena.allocate(20);
    expect(arena.touchedBytes).to.equal(60);
  });

  it('takes a gap whole that is less than twice as large, and divides one that would waste much', () => {
    const rules = { granule: 1, wholeBelow: 100 };
    const takenAfter = (gap: number, bytes: number) => {
      const arena = new Arena(rules);
      const at = arena.allocate(gap);
      arena.allocate(1);
      arena.free(at);
      arena.allocate(bytes);
      return arena.allocate(gap - bytes) === at + bytes;
    };
    expect(takenAfter(100, 60), 'the rest of a gap taken whole').to.equal(false);
    expect(takenAfter(100, 50), 'twice as large').to.equal(true);
    expect(takenAfter(300, 190), 'would waste much').to.equal(true);
  });

  it('counts of regions, which double, only what was in use', () => {
    const arena = new Arena({ granule: 1, firstRegion: MiB });
    arena.allocate(MiB - 1000);
    arena.allocate(2000); // in a region of 2 MiB
    expect(arena.touchedBytes).to.equal(MiB + 1000);
    arena.allocate(3 * MiB); // in a region of 4 MiB
    arena.allocate(MiB); // fits into the second and the third: the smaller gap is that of the third
    expect(arena.touchedBytes).to.equal(5 * MiB + 1000);
  });

  it('runs a trace in parts', () => {
    const arena = new Arena({ granule: 1 });
    const trace = [100, 50, ~0, 70, ~1, ~2, 10];
    const addresses = arena.run(trace, [], 0, 3);
    expect(addresses).to.deep.equal([-1, 100]);
    arena.run(trace, addresses, 3);
    expect(addresses).to.deep.equal([-1, -1, -1, 0]);
    arena.release(addresses, 3);
    arena.release(addresses, 3);
    expect(arena.allocate(150), 'all is free').to.equal(0);
    expect(arena.touchedBytes).to.equal(150);
  });
});
