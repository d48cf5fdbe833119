import { expect } from 'chai';
import { Buffers } from '../../../src/checkpoints/weights/buffers.ts';
import {
  bytesForCheckpoint,
  bytesFromCheckpoint,
  shapeFromCheckpoint,
} from '../../../src/checkpoints/weights/layout.ts';
import { transposeWasm } from '../../../src/checkpoints/weights/transposeWasm.ts';
import type { Layout } from '../../../src/layers/parameter.ts';
import { assembled } from './assemble.ts';

/** Fills memory with bytes that tell its places apart. */
const numbered = (bytes: Uint8Array): Uint8Array => {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 151 + (i >> 8)) & 0xff;
  return bytes;
};

describe('memory for conversions', () => {
  it('turns by what `transpose.wat` says', async () => {
    expect(transposeWasm, 'run `npm run wasm`').to.equal(
      Buffer.from(await assembled()).toString('base64'),
    );
  });

  const cases: [layout: Layout, shape: number[], byWasm: boolean][] = [
    ['linear', [8, 8], true],
    ['linear', [72, 136], true],
    ['linear', [200, 64], true],
    ['conv2d', [72, 16, 3, 3], true],
    ['conv2d', [8, 24, 4, 4], true],
    ['temporalConv', [24, 40, 3, 1, 1], true],
    ['linear', [72, 132], false],
    ['linear', [70, 136], false],
    ['conv2d', [4, 8, 3, 3], false],
  ];
  for (const [layout, shape, byWasm] of cases) {
    it(`${layout} [${shape}] of two bytes is turned ${byWasm ? 'by WebAssembly' : 'in JavaScript'}, and back, as in other memory`, () => {
      const buffers = new Buffers();
      const ways: boolean[] = [];
      const { transpose } = buffers;
      buffers.transpose = (...matrix) => {
        ways.push(transpose.apply(buffers, matrix));
        return ways.at(-1)!;
      };
      const bytes = numbered(buffers.take(2 * shape.reduce((product, axis) => product * axis, 1)));
      const turned = bytesFromCheckpoint(layout, shape, bytes, buffers);
      expect([...turned]).to.deep.equal([...bytesFromCheckpoint(layout, shape, bytes.slice())]);
      expect([
        ...bytesForCheckpoint(layout, shapeFromCheckpoint(layout, shape), turned, buffers),
      ]).to.deep.equal([...bytes]);
      expect(ways).to.deep.equal([byWasm, byWasm]);
    });
  }

  it('leaves the turning of other types, and of other memory, to JavaScript', () => {
    const buffers = new Buffers();
    const rows = new Uint32Array(8);
    const [here, elsewhere] = [
      new Uint16Array(buffers.take(128).buffer, 0, 64),
      new Uint16Array(64),
    ];
    expect(buffers.transpose(here, rows, elsewhere, rows)).to.equal(false);
    expect(buffers.transpose(elsewhere, rows, here, rows)).to.equal(false);
    const wide = new Uint32Array(here.buffer, 0, 32);
    expect(buffers.transpose(wide, rows, wide, rows)).to.equal(false);
  });

  it('hands out places that do not overlap, keeps what is in them while it grows, and begins each where every type may', () => {
    const buffers = new Buffers();
    const taken = [1, 100_000, 7, 3_000_000, 64].map((bytes) => numbered(buffers.take(bytes)));
    for (const view of taken) {
      expect(view.byteOffset % 64).to.equal(0);
      expect(Buffer.compare(view, numbered(new Uint8Array(view.length)))).to.equal(0);
    }
  });

  it('hands out again what it was given back, also in other sizes, and grows no more', () => {
    const buffers = new Buffers();
    const take = (...sizes: number[]) => sizes.map((bytes) => buffers.take(bytes));
    const first = take(1_000_000, 2_000_000, 3_000_000);
    const size = first.at(-1)!.buffer.byteLength;
    for (const view of first) buffers.give(view);
    const second = take(5_900_000);
    expect(second[0].buffer.byteLength).to.equal(size);
    for (const view of second) buffers.give(view);
    expect(take(3_000_000, 2_000_000, 900_000).at(-1)!.buffer.byteLength).to.equal(size);
  });

  it('leaves alone what did not come from it, or has been given back', () => {
    const buffers = new Buffers();
    const [one, other] = [buffers.take(64), buffers.take(64)];
    buffers.give(new Uint8Array(64));
    buffers.give(one);
    buffers.give(one);
    expect(buffers.take(64).byteOffset).to.equal(one.byteOffset);
    expect(buffers.take(64).byteOffset).to.not.be.oneOf([one.byteOffset, other.byteOffset]);
  });
});
