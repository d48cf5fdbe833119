/** What conversions hold in memory at once: a few tensors, however many a checkpoint has. */
import { join } from 'node:path';
import { expect } from 'chai';
import { type ConvertOptions, convertCheckpoint } from '../../converters/index.ts';
import { weightedComponents } from '../../src/checkpoints/diffusers/names.ts';
import { openCheckpoint } from '../../src/checkpoints/index.ts';
import { BytePool } from '../../src/checkpoints/weights/memory.ts';
import { writePieces } from '../../src/files/writing/outputFile.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { inTemporaryFolder } from '../checkpoints/files.ts';
import { testBackend } from '../setup.ts';

/** Bytes of all tensors of a model, and of its largest. */
async function sizesOf(path: string): Promise<{ total: number; largest: number }> {
  const files = await openCheckpoint(path);
  const sizes: number[] = [];
  for (const component of weightedComponents) {
    const source = await files.weights(component);
    sizes.push(...source.names().map((name) => source.info(name).bytes));
  }
  await files.close();
  return { total: sizes.reduce((sum, size) => sum + size, 0), largest: Math.max(...sizes) };
}

/**
 * The most bytes that were handed out at once while `work` ran, and those that nobody has given
 * back.
 */
async function handedOut(work: () => Promise<unknown>): Promise<{ most: number; left: number }> {
  const { acquire: take, release: give } = BytePool.prototype;
  const sizes = new Map<Uint8Array, number>();
  let most = 0;
  const sum = () => [...sizes.values()].reduce((total, size) => total + size, 0);
  BytePool.prototype.acquire = function (bytes) {
    const taken = take.call(this, bytes);
    sizes.set(taken, bytes);
    most = Math.max(most, sum());
    return taken;
  };
  BytePool.prototype.release = function (memory) {
    sizes.delete(memory);
    give.call(this, memory);
  };
  try {
    await work();
  } finally {
    Object.assign(BytePool.prototype, { take, give });
  }
  return { most, left: sum() };
}

describe('memory of conversions', () => {
  it('is that of a few tensors, of a checkpoint many times as large', () =>
    inTemporaryFolder(async (folder) => {
      const path = (name: string) => join(folder, name);
      const model = 'weights/tiny';
      const { total, largest } = await sizesOf(model);
      expect(total / largest).to.be.above(20);
      const conversions: [string, string, ConvertOptions][] = [
        [model, path('tfjs'), { to: 'tfjs' }],
        [model, path('a.safetensors'), { to: 'original' }],
        [path('tfjs'), path('diffusers'), { to: 'diffusers' }],
        [path('a.safetensors'), path('again'), { to: 'tfjs', config: model }],
      ];
      for (const [from, to, options] of conversions) {
        const { most, left } = await handedOut(() => convertCheckpoint(from, to, options));
        expect(most / largest, to)
          .to.be.above(0)
          .and.below(5);
        expect(left, to).to.equal(0);
      }
    }));

  it('holds nothing of a model that is saved out of its files', () =>
    inTemporaryFolder(async (folder) => {
      const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny', {
        backend: testBackend,
        offload: 'model',
      });
      try {
        const { left } = await handedOut(() =>
          pipe.savePretrained(join(folder, 'saved'), { dtype: 'float16' }),
        );
        expect(left).to.equal(0);
      } finally {
        pipe.dispose();
      }
    }));

  it('holds no more than two pieces of a file', () =>
    inTemporaryFolder(async (folder) => {
      let held = 0;
      let most = 0;
      const make = async () => {
        held += 1;
        most = Math.max(most, held);
        return new Uint8Array(100_000);
      };
      const release = () => {
        held -= 1;
      };
      const pieces = Array.from({ length: 200 }, (_, i) => ({
        position: i * 100_000,
        bytes: 100_000,
        make,
        release,
      }));
      await writePieces(join(folder, 'out'), { path: '', pieces });
      expect(held).to.equal(0);
      expect(most).to.equal(2);
    }));
});
