import { expect } from 'chai';
import { TransposePool } from '../../../converters/transpose/transposePool.ts';
import { transposeWasm } from '../../../converters/transpose/transposeWasm.ts';
import type { Reversal } from '../../../src/checkpoints/weights/layout.ts';
import { BytePool } from '../../../src/checkpoints/weights/memory.ts';
import { assembled } from './assemble.ts';

/** Fills memory with bytes that tell its places apart. */
const numbered = (bytes: Uint8Array): Uint8Array => {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 151 + (i >> 8)) & 0xff;
  return bytes;
};

describe('TransposePool', () => {
  it('runs what `transpose.wat` says', async () => {
    expect(transposeWasm, 'run `npm run wasm`').to.equal(
      Buffer.from(await assembled()).toString('base64'),
    );
  });

  const cases: [reversal: Reversal, width: number, byWasm: boolean][] = [
    [[8, 8, 1], 2, true],
    [[72, 136, 1], 2, true],
    [[200, 64, 1], 2, true],
    [[72, 16, 9], 2, true],
    [[8, 24, 16], 2, true],
    [[1, 136, 72], 2, true],
    [[9, 16, 72], 2, true],
    [[72, 132, 1], 2, false],
    [[72, 131, 1], 2, false],
    [[70, 136, 1], 2, false],
    [[4, 8, 9], 2, false],
    [[72, 16, 9], 4, false],
    [[72, 16, 8], 1, false],
  ];
  for (const [reversal, width, byWasm] of cases) {
    it(`reverses [${reversal}] of ${width} bytes ${byWasm ? 'by WebAssembly' : 'in JavaScript'}`, () => {
      const pool = new TransposePool();
      let calls = 0;
      const { run } = pool as unknown as { run: (...args: number[]) => void };
      const counted = (...args: number[]) => {
        calls++;
        run(...args);
      };
      Object.assign(pool, { run: counted });
      const count = reversal.reduce((product, axis) => product * axis, 1);
      const bytes = numbered(pool.acquire(width * count));
      const expected = new BytePool().reverse(bytes.slice(), reversal);
      const reversed = pool.reverse(bytes, reversal);
      expect([...reversed]).to.deep.equal([...expected]);
      const [a, b, c] = reversal;
      const back = pool.reverse(reversed, [c, b, a]);
      expect(Buffer.compare(back, numbered(new Uint8Array(back.length)))).to.equal(0);
      expect(calls).to.equal(byWasm ? 2 : 0);
    });
  }

  it('keeps what is in its memory while that grows, and uses again what was given back', () => {
    const pool = new TransposePool();
    const taken = [1, 100_000, 7, 3_000_000, 64].map((bytes) => numbered(pool.acquire(bytes)));
    for (const view of taken)
      expect(Buffer.compare(view, numbered(new Uint8Array(view.length)))).to.equal(0);
    for (const view of taken) pool.release(view);
    expect(pool.acquire(3_000_000).byteOffset).to.equal(taken[3].byteOffset);
  });

  it('reverses other memory in JavaScript', () => {
    const bytes = numbered(new Uint8Array(128));
    const expected = new BytePool().reverse(bytes.slice(), [8, 8, 1]);
    expect([...new TransposePool().reverse(bytes, [8, 8, 1])]).to.deep.equal([...expected]);
  });
});
