/** Checkpoints' bytes and half precision on webgpu, bit by bit. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { widen } from '../../../src/checkpoints/safetensors/halfFloat.ts';
import { reverseBytes } from '../../../src/checkpoints/weights/layout.ts';
import { tensorFromBytes } from '../../../src/ops/halfWeights/halfWeights.ts';
import { heldIn } from '../../../src/ops/halfWeights/held.ts';
import { isHalf, widened, widenedSlice } from '../../../src/ops/index.ts';
import { testBackend } from '../../setup.ts';

/** The bits of numbers, of which all that are none count as one. */
const bitsOf = (values: ArrayLike<number>) =>
  Array.from(new Uint32Array(Float32Array.from(values).buffer), (bits) =>
    (bits & 0x7fffffff) > 0x7f800000 ? Number.NaN : bits,
  );

/** The bits of all values of a tensor as float32, in whatever it holds them. */
async function read(tensor: tf.Tensor): Promise<number[]> {
  const values = widened(tensor);
  const bits = bitsOf(await values.data());
  if (values !== tensor) values.dispose();
  return bits;
}

const words = (count: number) =>
  Uint16Array.from({ length: count }, (_, i) => (i * 40503) & 0xffff);
const bytesOf = ({ buffer }: Uint16Array | Float32Array) => new Uint8Array(buffer as ArrayBuffer);

const float32 = {
  F16: (bits: Uint16Array) => new Float32Array(Int32Array.from(bits, widen).buffer),
  BF16: (bits: Uint16Array) =>
    new Float32Array(Uint32Array.from(bits, (half) => half * 2 ** 16).buffer),
};

const memory = () => {
  const { numTensors, numDataBuffers, numBytes, numBytesInGPU } = tf.memory() as tf.MemoryInfo & {
    numBytesInGPU: number;
  };
  return { numTensors, numDataBuffers, numBytes, numBytesInGPU };
};

/** Shapes in a checkpoint and how their axes are turned, as products and convolutions need them. */
const turned: [shape: number[], permutation: number[]][] = [
  [
    [7, 5],
    [1, 0],
  ],
  [
    [64, 32],
    [1, 0],
  ],
  [
    [1, 9],
    [1, 0],
  ],
  [
    [5, 3, 3, 3],
    [2, 3, 1, 0],
  ],
  [
    [6, 2, 1, 1],
    [2, 3, 1, 0],
  ],
  [
    [4, 6, 3, 1],
    [2, 3, 1, 0],
  ],
  [
    [3, 5, 3, 1],
    [2, 3, 1, 0],
  ],
];

describe('bytes of checkpoints on webgpu', () => {
  before(function () {
    if (testBackend !== 'webgpu') this.skip();
  });

  for (const type of ['F16', 'BF16'] as const) {
    for (const keepHalf of [true, false]) {
      const how = keepHalf ? 'at use' : 'at once';
      it(`widens every value of ${type} exactly, ${how}`, async () => {
        const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
        const tensor = tensorFromBytes(bytesOf(all), type, [256, 256], undefined, keepHalf);
        expect(isHalf(tensor)).to.equal(keepHalf);
        expect(await read(tensor)).to.deep.equal(bitsOf(float32[type](all)));
        tensor.dispose();
      });

      for (const [shape, permutation] of turned) {
        it(`turns [${shape}] of ${type}, widened ${how}`, async () => {
          const count = tf.util.sizeFromShape(shape);
          const values = words(count);
          const [o, i] = shape;
          const expected = new Uint16Array(count);
          reverseBytes(bytesOf(values), [o, i, count / o / i], bytesOf(expected));
          const tensor = tensorFromBytes(bytesOf(values), type, shape, permutation, keepHalf);
          expect(tensor.shape).to.deep.equal(permutation.map((axis) => shape[axis]));
          expect(await read(tensor)).to.deep.equal(bitsOf(float32[type](expected)));
          tensor.dispose();
        });
      }
    }

    it(`widens a part of a tensor of ${type} as tf.slice takes it`, async () => {
      const values = words(7 * 9 * 5);
      const shape = [7, 9, 5];
      const half = tensorFromBytes(bytesOf(values), type, shape, undefined, true);
      const wide = tf.tensor(float32[type](values), shape);
      for (const [begin, size] of [
        [
          [0, 0, 0],
          [7, 9, 5],
        ],
        [
          [3, 0, 0],
          [2, -1, -1],
        ],
        [
          [1, 2, 3],
          [5, 3, 1],
        ],
        [
          [6, 8, 4],
          [1, 1, 1],
        ],
      ]) {
        const [part, expected] = [widenedSlice(half, begin, size), tf.slice(wide, begin, size)];
        expect(part.shape).to.deep.equal(expected.shape);
        expect(bitsOf(await part.data())).to.deep.equal(bitsOf(await expected.data()));
        tf.dispose([part, expected]);
      }
      tf.dispose([half, wide]);
    });
  }

  it('widens and turns more values than one row of groups has threads', async () => {
    const shape = [65537, 257];
    const values = words(shape[0] * shape[1]);
    for (const permutation of [undefined, [1, 0]]) {
      const half = tensorFromBytes(bytesOf(values), 'BF16', shape, permutation, !permutation);
      const [rows, columns] = half.shape;
      const all = widened(half) as tf.Tensor2D;
      const last = tf.slice(all, [rows - 2, columns - 3]);
      const places = [rows - 2, rows - 1].flatMap((row) =>
        [columns - 3, columns - 2, columns - 1].map((column) =>
          permutation ? column * rows + row : row * columns + column,
        ),
      );
      const expected = float32.BF16(Uint16Array.from(places, (place) => values[place]));
      expect(bitsOf(await last.data())).to.deep.equal(bitsOf(expected));
      tf.dispose([half, all, last]);
    }
  });

  it('turns float32 without a change of a bit', async () => {
    const bits = Uint32Array.from({ length: 60 }, (_, i) => (i * 2654435761) >>> 0);
    bits.set([1, 0x80000001, 0x80000000, 0x7f800000]);
    const values = new Float32Array(bits.buffer);
    for (const [shape, permutation] of [
      [[60], undefined],
      [
        [12, 5],
        [1, 0],
      ],
      [
        [5, 4, 3, 1],
        [2, 3, 1, 0],
      ],
    ] as const) {
      const tensor = tensorFromBytes(
        bytesOf(values),
        'F32',
        [...shape],
        permutation && [...permutation],
      );
      const expected = values.slice();
      const [o, i = 1] = shape;
      if (permutation) reverseBytes(bytesOf(values), [o, i, 60 / o / i], bytesOf(expected));
      expect(await read(tensor)).to.deep.equal(bitsOf(expected));
      tensor.dispose();
    }
  });

  it('takes bytes that begin and end anywhere, and lets others overwrite them at once', async () => {
    const values = words(15);
    const place = new Uint8Array(64);
    for (const start of [0, 1, 2, 4]) {
      for (const permutation of [undefined, [1, 0]]) {
        const bytes = place.subarray(start, start + 30);
        bytes.set(bytesOf(values));
        const tensor = tensorFromBytes(bytes, 'BF16', [3, 5], permutation, true);
        place.fill(0xff);
        const expected = tf.tidy(() =>
          tf.transpose(tf.tensor(float32.BF16(values), [3, 5]), permutation ?? [0, 1]),
        );
        expect(await read(tensor)).to.deep.equal(bitsOf(await expected.data()));
        tf.dispose([tensor, expected]);
      }
    }
  });

  it('holds two values to a word, and frees all of it with the last tensor of it', async () => {
    await tf.zeros([1]).data();
    const before = memory();
    for (const permutation of [undefined, [1, 0]]) {
      const tensor = tensorFromBytes(bytesOf(words(15)), 'F16', [3, 5], permutation, true);
      const clones = [tf.clone(tensor), tf.reshape(tensor, [15])];
      expect(heldIn(clones[1])).to.equal('float16');
      expect(await read(clones[1])).to.deep.equal(await read(tensor));
      expect(memory().numDataBuffers).to.equal(before.numDataBuffers + 1);
      expect(memory().numBytesInGPU).to.equal(before.numBytesInGPU + 32);
      tensor.dispose();
      expect(await read(clones[0])).to.have.length(15);
      tf.dispose(clones);
      const others = tf.zeros([4]);
      await others.data(); // submits what is queued, after which memory is freed
      others.dispose();
      expect(memory()).to.deep.equal(before);
    }
  });

  it('gives nobody words for values', async () => {
    const tensor = tensorFromBytes(bytesOf(words(64)), 'F16', [8, 8], undefined, true);
    const message = 'This weight is in half precision on the webgpu backend';
    const error = await tensor.data().catch((thrown: Error) => thrown);
    expect(error).to.be.instanceOf(Error);
    expect((error as Error).message).to.contain(message);
    expect(() => tf.mul(tensor, tensor)).to.throw(message);
    tensor.dispose();
  });
});
