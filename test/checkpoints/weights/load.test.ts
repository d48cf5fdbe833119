import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import { writeSafetensors } from '../../../src/checkpoints/safetensors/writer.ts';
import { blockTensors, loadWeights } from '../../../src/checkpoints/weights/load.ts';
import {
  memorySource,
  type TensorValues,
  type WeightSource,
} from '../../../src/checkpoints/weights/source.ts';
import { Block, withoutWeights } from '../../../src/layers/block.ts';
import type { Layout } from '../../../src/layers/parameter.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

/** A block with the given parameters and no computation. */
class Weights extends Block {
  static className = 'TestWeights';
  private readonly shapes: Record<string, [number[], Layout]>;

  constructor(name: string, shapes: Record<string, [number[], Layout]>, children: Block[] = []) {
    super({ name });
    this.shapes = shapes;
    for (const child of children) this.child(child);
  }

  protected override buildSelf(): void {
    for (const [key, [shape, layout]] of Object.entries(this.shapes))
      this.parameter(key, shape, layout, tf.initializers.zeros());
  }

  protected override forward(inputs: tf.Tensor[]): tf.Tensor {
    return inputs[0].clone();
  }
}

/**
 * The module that `sharded/` is the checkpoint of (`Standin` in
 * test/reference/checkpoint_folder.py).
 */
function standin(): Weights {
  const block = new Weights('standin', {}, [
    new Weights('conv', { weight: [[3, 3, 4, 6], 'conv2d'], bias: [[6], 'same'] }),
    new Weights('time_conv', { weight: [[3, 1, 6, 5], 'temporalConv'], bias: [[5], 'same'] }),
    new Weights('linear', { weight: [[7, 9], 'linear'], bias: [[9], 'same'] }),
    new Weights('norm', { weight: [[8], 'same'], bias: [[8], 'same'] }),
  ]);
  withoutWeights(() => block.build());
  return block;
}

function pair(): Weights {
  const block = new Weights('pair', { first: [[2, 3], 'linear'], second: [[2], 'same'] });
  block.build();
  return block;
}

const values = (shape: number[], start = 1): TensorValues => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i),
});

const good = () => ({ first: values([3, 2]), second: values([2], 7) });
const contents = async (block: Block) =>
  Promise.all(block.parameters().map(async ({ variable }) => [...(await variable.read().data())]));
const loaded = [
  [1, 3, 5, 2, 4, 6],
  [7, 8],
];
const untouched = [
  [0, 0, 0, 0, 0, 0],
  [0, 0],
];

describe('loadWeights', () => {
  it('puts a PyTorch checkpoint into every weight, in the axis order of layers, without a leak', async () => {
    const source = await openSafetensors(fixture('sharded/whole.safetensors'));
    const before = tf.memory().numTensors;
    const block = standin();
    const built = tf.memory().numTensors;
    await loadWeights(block, source);
    expect(tf.memory().numTensors).to.equal(built);
    const permutations: Record<string, number[]> = {
      'conv.weight': [2, 3, 1, 0],
      'time_conv.weight': [2, 3, 1, 0],
      'linear.weight': [1, 0],
    };
    for (const { key, variable } of block.parameters()) {
      const { shape } = source.info(key);
      const permutation = permutations[key] ?? [0];
      const data = await source.read(key);
      const expected = tf.tidy(() =>
        tf.transpose(tf.tensor(data, shape.slice(0, permutation.length)), permutation),
      );
      expect(await variable.read().data(), key).to.deep.equal(await expected.data());
      expected.dispose();
    }
    await source.close();
    block.dispose();
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('returns the checkpoint it was given, in all float types', () =>
    inTemporaryFolder(async (folder) => {
      const source = await openSafetensors(fixture('sharded/whole.safetensors'));
      const block = standin();
      await loadWeights(block, source);
      for (const dtype of ['F32', 'F16', 'BF16'] as const) {
        const path = join(folder, `${dtype}.safetensors`);
        await writeSafetensors(path, blockTensors(block, dtype), { format: 'pt' });
        const copy = await openSafetensors(path);
        expect(copy.names()).to.have.members(source.names());
        for (const name of source.names()) {
          expect(copy.info(name))
            .to.include({ dtype })
            .and.to.deep.include({ shape: source.info(name).shape });
          const [ours, original] = [await copy.read(name), await source.read(name)];
          if (dtype === 'F32') expect(ours).to.deep.equal(original);
          const unit = dtype === 'F16' ? 2 ** -11 : 2 ** -8; // the largest relative rounding error
          ours.forEach((value, i) => {
            expect(Math.abs(value - original[i])).to.be.at.most(
              Math.abs(original[i]) * unit + 2 ** -25,
            );
          });
        }
        await copy.close();
      }
      await source.close();
    }));

  it('reports progress in bytes, in the order of the source', async () => {
    const progress: [number, number][] = [];
    await loadWeights(pair(), memorySource(good()), {
      onProgress: (done, total) => progress.push([done, total]),
    });
    expect(progress).to.deep.equal([
      [24, 32],
      [32, 32],
    ]);
  });

  it('lists everything missing, surplus, of another shape or type at once, and changes nothing', async () => {
    const block = pair();
    const { first } = good();
    const surplus = Object.fromEntries(
      Array.from({ length: 25 }, (_, i) => [`extra.${i}`, values([1])]),
    );
    await expectError(
      () =>
        loadWeights(block, memorySource({ first: { ...first, shape: [2, 3] }, ...surplus }), {
          label: 'unet',
        }),
      '"unet"',
      '1 missing (second)',
      '25 surplus (extra.0, ',
      'extra.19 and 5 more)',
      '1 of another shape (first is [2,3] instead of [3,2])',
    );
    const integers: WeightSource = {
      ...memorySource(good()),
      info: () => ({ dtype: 'I64', shape: [2], bytes: 16 }),
    };
    await expectError(
      () => loadWeights(block, integers),
      'of a type other than F32, F16, BF16, F64, F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ, ' +
        'F8_E8M0 (first is I64, second is I64)',
    );
    expect(await contents(block)).to.deep.equal(untouched);
  });

  it('takes the tensors below a prefix alone', async () => {
    const block = pair();
    const { first, second } = good();
    await loadWeights(block, memorySource({ 'x.first': first, other: first, 'x.second': second }), {
      prefix: 'x.',
    });
    expect(await contents(block)).to.deep.equal(loaded);
    await expectError(
      () => loadWeights(block, memorySource({ 'x.first': first }), { prefix: 'x.' }),
      '1 missing (x.second)',
    );
  });

  it('leaves aside what it is told to, and position ids by default', async () => {
    const block = pair();
    await loadWeights(
      block,
      memorySource({ ...good(), 'embeddings.position_ids': values([1, 5]) }),
    );
    await loadWeights(block, memorySource({ ...good(), extra: values([1]) }), {
      ignore: (key) => key === 'extra',
    });
    expect(await contents(block)).to.deep.equal(loaded);
  });

  it('stops between two tensors with the reason of the signal, and can be repeated', async () => {
    const block = pair();
    const controller = new AbortController();
    const reason = new Error('stop');
    const stopped = loadWeights(block, memorySource(good()), {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    expect(await stopped.catch((error) => error)).to.equal(reason);
    expect(await contents(block)).to.deep.equal([loaded[0], untouched[1]]);
    await loadWeights(block, memorySource(good()));
    expect(await contents(block)).to.deep.equal(loaded);
  });

  it('lets timers run, so that a signal can be given meanwhile', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`w${i}`, [[1], 'same']]),
    ) as Record<string, [number[], Layout]>;
    const block = new Weights('many', many);
    block.build();
    const source = memorySource(
      Object.fromEntries(Object.keys(many).map((key) => [key, values([1])])),
    );
    const slow: WeightSource = {
      ...source,
      async read(name) {
        const end = performance.now() + 3;
        while (performance.now() < end); // a backend that blocks
        return source.read(name);
      },
    };
    let read = 0;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const stopped = loadWeights(block, slow, {
      signal: controller.signal,
      onProgress: () => {
        read++;
      },
    });
    expect((await stopped.catch((error) => error)).name).to.equal('AbortError');
    expect(read).to.be.below(100);
  });

  it('keeps former values and leaks nothing when reading fails', async () => {
    const block = pair();
    const source = memorySource(good());
    const before = tf.memory().numTensors;
    const failing: WeightSource = {
      ...source,
      read: (name) => (name === 'second' ? Promise.reject(new Error('gone')) : source.read(name)),
    };
    expect((await loadWeights(block, failing).catch((error) => error)).message).to.equal('gone');
    expect(await contents(block)).to.deep.equal([loaded[0], untouched[1]]);
    expect(tf.memory().numTensors).to.equal(before);
  });
});
