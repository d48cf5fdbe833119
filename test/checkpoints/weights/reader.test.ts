/** Tensors as backends take them over: whatever converts the bytes, the values are the same. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../../src/backends/index.ts';
import { CheckpointError, type WeightSource } from '../../../src/checkpoints/index.ts';
import type { Dtype } from '../../../src/checkpoints/safetensors/dtypes.ts';
import { buildHeader } from '../../../src/checkpoints/safetensors/header.ts';
import { memoryBytes, readSafetensors } from '../../../src/checkpoints/safetensors/reader.ts';
import { valuesFromCheckpoint } from '../../../src/checkpoints/weights/layout.ts';
import { weightReader } from '../../../src/checkpoints/weights/reader.ts';
import type { Layout } from '../../../src/layers/parameter.ts';
import { holdsHalves } from '../../../src/ops/halfWeights/halfWeights.ts';
import { widened } from '../../../src/ops/index.ts';
import { testBackend } from '../../setup.ts';

/**
 * Every layout with a shape whose axes differ, one beyond a tile of the transposition and one so
 * large that libtensorflow converts it.
 */
const shapes: [Layout, number[]][] = [
  ['same', [37]],
  ['same', [2, 3, 5]],
  ['linear', [7, 5]],
  ['linear', [70, 130]],
  ['conv2d', [4, 5, 3, 3]],
  ['conv2d', [6, 2, 1, 1]],
  ['temporalConv', [4, 6, 3, 1, 1]],
  ['conv2d', [40, 50, 3, 3]],
];
const LARGE = '7';
const widths: Partial<Record<Dtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

const sizeOf = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

/**
 * A checkpoint of all `shapes` in one element type. Of F16 and BF16 it holds every value there is,
 * in turn, but for NaN.
 */
async function source(dtype: Dtype): Promise<WeightSource> {
  const width = widths[dtype]!;
  const entries = shapes.map(
    ([, shape], i) => [`${i}`, { dtype, shape, bytes: sizeOf(shape) * width }] as const,
  );
  const header = buildHeader(entries.map(([name, info]) => [name, info]));
  const data = new Uint8Array(entries.reduce((sum, [, { bytes }]) => sum + bytes, 0));
  const [mantissa, exponent] = dtype === 'F16' ? [10, 0x1f] : [7, 0xff];
  if (width === 2) {
    const words = new Uint16Array(data.buffer);
    let bits = 0;
    for (let i = 0; i < words.length; i++) {
      bits = (bits + 40503) & 0xffff;
      const notANumber =
        ((bits >> mantissa) & exponent) === exponent && (bits & (2 ** mantissa - 1)) !== 0;
      words[i] = notANumber ? 1 : bits;
    }
  } else {
    const values = width === 4 ? new Float32Array(data.buffer) : new Float64Array(data.buffer);
    for (let i = 0; i < values.length; i++)
      values[i] = (i % 2 ? -1 : 1) * Math.exp(((i * 0.618) % 1) * 160 - 100);
    values.set([0, -0, Number.POSITIVE_INFINITY, 1 / 3]);
  }
  return readSafetensors(memoryBytes(Buffer.concat([header, data]), 'weights'));
}

const bitsOf = (values: Float32Array) => Array.from(new Uint32Array(values.slice().buffer));

describe('weightReader', () => {
  for (const dtype of ['F16', 'BF16', 'F32', 'F64'] as const) {
    it(
      `returns ${dtype} tensors in the axis order of layers, equal to the bit to those ` +
        'converted in JS, and leaves nothing else',
      async () => {
        const file = await source(dtype);
        const before = { tensors: tf.memory().numTensors, native: nativeHandleCount() };
        const read = weightReader(file);
        const taken = await Promise.all(shapes.map(([layout], i) => read(`${i}`, layout)));
        for (const [i, [layout, shape]] of shapes.entries()) {
          const tensor = taken[i]();
          const expected = valuesFromCheckpoint(layout, shape, await file.read(`${i}`));
          expect(tensor.dtype).to.equal('float32');
          expect(
            bitsOf((await tensor.data()) as Float32Array),
            `${layout} [${shape}]`,
          ).to.deep.equal(bitsOf(expected));
          tensor.dispose();
        }
        expect({ tensors: tf.memory().numTensors, native: nativeHandleCount() }).to.deep.equal(
          before,
        );
      },
    );
  }

  for (const [dtype, weightDtype] of [
    ['F16', 'auto'],
    ['BF16', 'auto'],
    ['F16', 'float32'],
    ['F32', 'float32'],
  ] as const) {
    it(
      `keeps ${dtype} tensors that are not transposed apart from the memory for the next ` +
        `(${weightDtype})`,
      async () => {
        const width = widths[dtype]!;
        const shape = [300, 300];
        const entries = ['0', '1', '2'].map(
          (name) => [name, { dtype, shape, bytes: 90000 * width }] as const,
        );
        const data = Buffer.alloc(3 * 90000 * width);
        for (let i = 0; i < 3; i++)
          data.fill([0x11, 0x22, 0x33][i], i * 90000 * width, (i + 1) * 90000 * width);
        const file = await readSafetensors(
          memoryBytes(
            Buffer.concat([buildHeader(entries.map(([name, info]) => [name, info])), data]),
          ),
        );
        const read = weightReader(file, weightDtype);
        const tensors: tf.Tensor[] = [];
        for (const [name] of entries) tensors.push((await read(name, 'same'))());
        for (const [i, tensor] of tensors.entries()) {
          const value = widened(tensor);
          expect((await value.data())[77]).to.equal((await file.read(`${i}`))[0]);
          tf.dispose([tensor, value]);
        }
      },
    );
  }

  it(
    'lets backends convert the bytes of large tensors, and takes values where there are ' +
      'few or a source has nothing else',
    async () => {
      const file = await source('F16');
      const calls: string[] = [];
      const spied: WeightSource = {
        ...file,
        read: (name) => {
          calls.push('read');
          return file.read(name);
        },
        readBytes: (name, target) => {
          calls.push('readBytes');
          return file.readBytes!(name, target);
        },
      };
      const values = async (from: WeightSource, name = LARGE) => {
        const tensor = (await weightReader(from)(name, 'conv2d'))();
        const result = await tensor.data();
        tensor.dispose();
        return result;
      };
      expect(await values(spied)).to.deep.equal(await values({ ...spied, readBytes: undefined }));
      await values(spied, '4');
      expect(calls).to.deep.equal([
        holdsHalves(testBackend) ? 'readBytes' : 'read',
        'read',
        'read',
      ]);
    },
  );

  it('names the tensor that cannot be read', async () => {
    const reader = memoryBytes(
      Buffer.concat([
        buildHeader([['first', { dtype: 'F16', shape: [2], bytes: 4 }]]),
        Buffer.alloc(4),
      ]),
      'weights',
    );
    let broken = false;
    const file = await readSafetensors({
      ...reader,
      read: (target, position) =>
        broken
          ? Promise.reject(new CheckpointError('Cannot read weights: gone.'))
          : reader.read(target, position),
    });
    broken = true;
    const error: Error = await weightReader(file)('first', 'same').catch((thrown) => thrown);
    expect(error).to.be.instanceOf(CheckpointError);
    expect(error.message).to.equal('Cannot read the tensor "first". Cannot read weights: gone.');
  });
});
