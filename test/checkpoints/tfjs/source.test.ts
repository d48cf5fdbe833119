/** Weights of TensorFlow.js artifacts, whatever their manifest says. */
import { expect } from 'chai';
import { jsonOf } from '../../../src/checkpoints/configs/json.ts';
import { isFileName } from '../../../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../../../src/checkpoints/errors.ts';
import { type ByteReader, memoryBytes } from '../../../src/checkpoints/safetensors/reader.ts';
import { tfjsSource } from '../../../src/checkpoints/tfjs/source.ts';
import { Choices, fuzzCases } from '../../harness/fuzz.ts';
import { mutated } from '../configs/mutatedJson.ts';
import { expectError } from '../files.ts';

const affine = { scale: 0.5, min: -1 };
const artifact = {
  format: 'layers-model',
  weightsManifest: [
    {
      paths: ['a.bin', 'b.bin'],
      weights: [
        { name: 'unet/conv/kernel', shape: [2, 3], dtype: 'float32' },
        {
          name: 'unet/conv/bias',
          shape: [3],
          dtype: 'float32',
          quantization: { dtype: 'float16' },
        },
        {
          name: 'unet/norm/gamma',
          shape: [5],
          dtype: 'float32',
          quantization: { dtype: 'uint8', ...affine },
        },
      ],
    },
    {
      paths: ['c.bin'],
      weights: [
        {
          name: 'unet/norm/beta',
          shape: [4],
          dtype: 'float32',
          quantization: { dtype: 'uint16', ...affine },
        },
      ],
    },
  ],
};
const sizes: Record<string, number> = { 'a.bin': 20, 'b.bin': 15, 'c.bin': 8 };

/** A file that fails the test if more is read than there is. */
const exactly = (label: string, bytes: Uint8Array): ByteReader => ({
  label,
  size: bytes.length,
  async read(target, position) {
    if (!(position >= 0 && position + target.length <= bytes.length))
      throw new RangeError(`${target.length} bytes at ${position} of ${bytes.length}`);
    target.set(bytes.subarray(position, position + target.length));
  },
  close: async () => {},
});

async function open(name: string): Promise<ByteReader> {
  expect(isFileName(name), name).to.equal(true);
  if (!Object.hasOwn(sizes, name)) throw new CheckpointError('Cannot read it: it does not exist.');
  return exactly(
    name,
    Uint8Array.from({ length: sizes[name] }, (_, i) => i),
  );
}

/** Reads everything in both ways. */
async function readAll(json: Record<string, unknown>): Promise<void> {
  const source = await tfjsSource('model.json', json, open);
  for (const name of source.names()) {
    const { bytes, shape } = source.info(name);
    const count = shape.reduce((product, axis) => product * axis, 1);
    expect((await source.read(name)).length).to.equal(count);
    await source.readBytes!(name, new Uint8Array(bytes));
  }
  await source.close();
}

describe('tfjsSource', () => {
  it('reads what the manifest describes', () => readAll(artifact));

  it('says what a file is that has the wrong size', () =>
    expectError(
      () =>
        tfjsSource('model.json', artifact, async (name) =>
          exactly(`web/${name}`, new TextEncoder().encode('<!doctype html><html>')),
        ),
      'web/a.bin is a web page, not weights: download it again.',
    ));

  it('reads mutated manifests in full or refuses them with one sentence', async () => {
    let [readable, refused] = [0, 0];
    const text = JSON.stringify(artifact);
    for (let seed = 0; seed < fuzzCases(3000); seed++) {
      const content = mutated(text, new Choices(seed));
      try {
        const bytes = new TextEncoder().encode(content);
        await readAll(await jsonOf(memoryBytes(bytes, 'model.json')));
        readable++;
      } catch (error) {
        expect(error, content.slice(0, 2000)).to.be.instanceOf(CheckpointError);
        await expectError(() => {
          throw error;
        });
        refused++;
      }
    }
    expect(readable).to.be.above(fuzzCases(50));
    expect(refused).to.be.above(fuzzCases(1000));
  });
});
