import { expect } from 'chai';
import { BufferLists } from '../../../src/memory/shapes/bufferLists.ts';
import { LARGE } from '../../../src/ops/webgpu/reuse.ts';

describe('BufferLists', () => {
  it('takes a large buffer as soon as it is free, also for less, a small one later', () => {
    for (const [bytes, next, expected] of [
      [LARGE, LARGE, LARGE],
      [1.5 * LARGE, LARGE, 1.5 * LARGE],
      [2 * LARGE, LARGE, 3 * LARGE],
      [LARGE, 2 * LARGE, 3 * LARGE],
      [100, 100, 200],
    ]) {
      const lists = new BufferLists();
      lists.free(lists.allocate(bytes));
      lists.free(lists.allocate(next));
      expect(lists.touchedBytes, `${bytes}, ${next}`).to.equal(expected);
    }
  });

  it('takes a small buffer once its commands are with the device', () => {
    const lists = new BufferLists();
    lists.free(lists.allocate(100));
    for (let i = 0; i < 13; i++) lists.allocate(8);
    lists.allocate(100); // the last of 15 commands
    expect(lists.touchedBytes, 'still collected').to.equal(2 * 100 + 13 * 8);
    lists.allocate(100);
    expect(lists.touchedBytes).to.equal(2 * 100 + 13 * 8);
  });

  it('gives free buffers back between blocks', () => {
    const lists = new BufferLists();
    lists.free(lists.allocate(3 * LARGE));
    lists.settle();
    lists.allocate(LARGE);
    lists.allocate(2 * LARGE);
    expect(lists.touchedBytes).to.equal(3 * LARGE);
  });
});
