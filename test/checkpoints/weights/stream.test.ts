/** Weights that are read block by block. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../../src/backends/index.ts';
import {
  CheckpointError,
  memoryBytes,
  readSafetensors,
  type WeightSource,
  WeightStream,
} from '../../../src/checkpoints/index.ts';
import { toF16 } from '../../../src/checkpoints/safetensors/halfFloat.ts';
import { buildHeader } from '../../../src/checkpoints/safetensors/header.ts';
import { loadWeights } from '../../../src/checkpoints/weights/load.ts';
import { Block, Linear, withoutWeights } from '../../../src/layers/index.ts';
import { uniforms } from '../../harness/nameHash.ts';

/** A model of three linear layers, one of them large enough to be held in half precision. */
class Model extends Block {
  static className = 'StreamedModel';
  readonly layers = [3, 130, 5].map((inFeatures, i) =>
    this.child(new Linear({ name: `layers.${i}`, inFeatures, outFeatures: 127 + i })),
  );

  protected forward(): tf.Tensor {
    return tf.tidy(() =>
      tf.concat(
        this.layers.map((layer) =>
          tf.reshape(layer.call(tf.ones([2, layer.args.inFeatures])), [-1]),
        ),
      ),
    );
  }
}

const order = ['layers.0', 'layers.1', 'layers.2'];

function model(): Model {
  const result = new Model({ name: 'model' });
  withoutWeights(() => result.build());
  return result;
}

/**
 * An F16 checkpoint of the model, which notes what is read. `fails` names a tensor that cannot be.
 */
async function checkpoint(fails?: string): Promise<{ source: WeightSource; asked: string[] }> {
  const declared = model();
  const tensors = declared.parameters().map(({ key, variable }) => {
    const shape = [...(variable.shape as number[])].reverse();
    const data = new Uint8Array(
      toF16(Float32Array.from(uniforms(key, tf.util.sizeFromShape(shape)))).buffer,
    );
    return { key, data, info: { dtype: 'F16' as const, shape, bytes: data.length } };
  });
  declared.dispose();
  const header = buildHeader(tensors.map(({ key, info }) => [key, info]));
  const source = await readSafetensors(
    memoryBytes(Buffer.concat([header, ...tensors.map(({ data }) => data)]), 'weights'),
  );
  const asked: string[] = [];
  const noted = <T>(name: string, read: () => Promise<T>) => {
    asked.push(name);
    return name === fails
      ? Promise.reject(new CheckpointError(`The tensor "${name}" is not to be had.`))
      : read();
  };
  return {
    asked,
    source: {
      ...source,
      read: (name) => noted(name, () => source.read(name)),
      readBytes: (name, target) => noted(name, () => source.readBytes(name, target)),
    },
  };
}

const held = () => ({ buffers: tf.engine().state.numDataBuffers, native: nativeHandleCount() });
const blocksOf = (names: string[]) => [
  ...new Set(names.map((name) => name.slice(0, 'layers.0'.length))),
];
const inMemory = (block: Model) =>
  block.layers.map((layer) => {
    try {
      tf.tidy(() => {
        layer.call(tf.zeros([1, layer.args.inFeatures]));
      });
      return true;
    } catch {
      return false;
    }
  });

describe('WeightStream', () => {
  for (const weightDtype of ['auto', 'float32'] as const) {
    it(
      `brings each block's weights in for its turn alone, again and again, and reads the next ` +
        `ahead (${weightDtype})`,
      async () => {
        const { source, asked } = await checkpoint();
        const whole = model();
        await loadWeights(whole, source, { weightDtype: 'float32' });
        const streamed = model();
        const before = held();
        asked.length = 0;
        const stream = new WeightStream(streamed, source, [order], weightDtype);
        expect(asked).to.deep.equal([]);
        // The last order is another than was announced.
        for (const [round, paths] of [order, order, [...order].reverse()].entries()) {
          for (const [i, path] of paths.entries()) {
            asked.length = 0;
            await stream.load(path);
            if (round < 2)
              expect(blocksOf(asked)).to.deep.equal(
                round === 0 && i === 0 ? order.slice(0, 2) : [order[(i + 1) % 3]],
              );
            const index = order.indexOf(path);
            const x = tf.randomNormal([4, streamed.layers[index].args.inFeatures]);
            const [ours, expected] = [streamed, whole].map((block) => block.layers[index].call(x));
            expect(await ours.data()).to.deep.equal(await expected.data());
            tf.dispose([x, ours, expected]);
            expect(inMemory(streamed)).to.deep.equal(order.map((other) => other === path));
            stream.release(path);
          }
        }
        await stream.close();
        expect(held()).to.deep.equal(before);
        for (const block of [streamed, whole]) block.dispose();
      },
    );
  }

  it(
    'ends with the name of a tensor that cannot be read, when its block comes, and leaves ' +
      'nothing',
    async () => {
      const { source } = await checkpoint('layers.1.weight');
      const streamed = model();
      const before = held();
      const stream = new WeightStream(streamed, source, [order]);
      await stream.load('layers.0');
      stream.release('layers.0');
      for (const _ of [1, 2]) {
        const error: Error = await stream.load('layers.1').catch((thrown) => thrown);
        expect(error).to.be.instanceOf(CheckpointError);
        expect(error.message).to.equal('The tensor "layers.1.weight" is not to be had.');
      }
      await stream.load('layers.2');
      stream.release('layers.2');
      await stream.close();
      expect(held()).to.deep.equal(before);
      streamed.dispose();
    },
  );

  it('reads ahead only what a part of the computation runs', async () => {
    const { source, asked } = await checkpoint();
    const streamed = model();
    const stream = new WeightStream(streamed, source, [order]);
    const runs = new Set([order[0], order[2]]);
    for (const [path, following] of [
      [order[0], order[2]],
      [order[2], order[0]],
      [order[0], order[2]],
    ]) {
      if (asked.length === 0 || path === order[2]) asked.length = 0;
      await stream.load(path, undefined, runs);
      stream.release(path);
      expect(blocksOf(asked)).to.include(following).and.not.include(order[1]);
    }
    await stream.close();
    streamed.dispose();
  });

  it('stops with the reason of a signal, and can go on', async () => {
    const { source } = await checkpoint();
    const streamed = model();
    const before = held();
    const stream = new WeightStream(streamed, source, [order]);
    const reason = new Error('enough');
    expect(
      await stream.load('layers.0', AbortSignal.abort(reason)).catch((thrown) => thrown),
    ).to.equal(reason);
    expect(inMemory(streamed)).to.deep.equal([false, false, false]);
    await stream.load('layers.0');
    expect(inMemory(streamed)).to.deep.equal([true, false, false]);
    stream.release('layers.0');
    await stream.close();
    expect(held()).to.deep.equal(before);
    streamed.dispose();
  });
});
