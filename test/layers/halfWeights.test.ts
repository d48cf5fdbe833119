/** Layers whose weights are held in half precision, which not every backend can do. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import {
  blockTensors,
  loadWeights,
  memoryBytes,
  readSafetensors,
  type WeightDtype,
} from '../../src/checkpoints/index.ts';
import { toBF16, toF16 } from '../../src/checkpoints/safetensors/halfFloat.ts';
import { buildHeader } from '../../src/checkpoints/safetensors/header.ts';
import { type ComputeDtype, Linear, withoutWeights } from '../../src/layers/index.ts';
import { holdsHalves } from '../../src/ops/halfWeights/halfWeights.ts';
import { heldIn } from '../../src/ops/halfWeights/held.ts';
import { halfGain, isHalf } from '../../src/ops/index.ts';
import { uniforms } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

const args = { inFeatures: 128, outFeatures: 160 };

/** A linear layer with the weights of a checkpoint of `dtype`. */
async function layer(
  weightDtype: WeightDtype,
  dtype: 'F16' | 'BF16' = 'F16',
  computeDtype: ComputeDtype = 'float32',
): Promise<Linear> {
  const bits = dtype === 'F16' ? toF16 : toBF16;
  const words = (name: string, count: number) =>
    new Uint8Array(bits(Float32Array.from(uniforms(name, count))).buffer);
  const tensors = { bias: words('bias', 160), weight: words('weight', 160 * 128) };
  const header = buildHeader([
    ['bias', { dtype, shape: [160], bytes: tensors.bias.length }],
    ['weight', { dtype, shape: [160, 128], bytes: tensors.weight.length }],
  ]);
  const source = await readSafetensors(
    memoryBytes(Buffer.concat([header, tensors.bias, tensors.weight])),
  );
  const linear = new Linear({ ...args, computeDtype });
  withoutWeights(() => linear.build());
  await loadWeights(linear, source, { weightDtype });
  return linear;
}

const held = () => ({ tensors: tf.memory().numTensors, native: nativeHandleCount() });
const heldInHalf = (linear: Linear) =>
  linear.parameters().map(({ variable }) => isHalf(variable.read()));
const half = holdsHalves(testBackend);
const x = () => tf.tensor2d(Float32Array.from(uniforms('x', 6 * 128)), [6, 128]);

describe('weights in half precision', () => {
  for (const dtype of ['F16', 'BF16'] as const) {
    it(`of a ${dtype} checkpoint compute and are saved as in float32, to the bit`, async () => {
      const before = held();
      const [wide, narrow] = [await layer('float32', dtype), await layer('auto', dtype)];
      expect(heldInHalf(wide)).to.deep.equal([false, false]);
      expect(heldInHalf(narrow)).to.deep.equal([half, false]); // a bias is too small to pay for it
      expect(narrow.parameters().map(({ variable }) => variable.shape)).to.deep.equal([
        [128, 160],
        [160],
      ]);
      const inputs = x();
      wide.call(inputs).dispose(); // native backends take values over when they are first used
      const loaded = held();
      const outputs = [wide, narrow].map((linear) => linear.call(inputs));
      expect(await outputs[1].data()).to.deep.equal(await outputs[0].data());
      tf.dispose(outputs);
      const [saved, expected] = [blockTensors(narrow), blockTensors(wide)];
      for (const key of ['weight', 'bias'])
        expect(await saved[key].data()).to.deep.equal(await expected[key].data());
      expect(held()).to.deep.equal(loaded);
      tf.dispose(inputs);
      wide.dispose();
      narrow.dispose();
      expect(held()).to.deep.equal(before);
    });
  }

  it('are rounded once to the type that pays, which computes as rounding them at each use', async function () {
    if (!halfGain('bfloat16')?.pays) this.skip();
    const before = held();
    const [wide, narrow] = [
      await layer('float32', 'F16', 'bfloat16'),
      await layer('auto', 'F16', 'bfloat16'),
    ];
    const types = narrow.parameters().map(({ variable }) => heldIn(variable.read()));
    expect(types).to.deep.equal(['bfloat16', undefined]);
    const inputs = x();
    const outputs = [wide, narrow].map((linear) => linear.call(inputs));
    expect(await outputs[1].data()).to.deep.equal(await outputs[0].data());
    tf.dispose([...outputs, inputs]);
    for (const linear of [wide, narrow]) linear.dispose();
    expect(held()).to.deep.equal(before);
  });

  it('become float32 when TensorFlow.js is asked for their values', async () => {
    const [wide, narrow] = [await layer('float32'), await layer('auto')];
    const before = tf.memory().numTensors;
    for (const [i, weight] of narrow.getWeights().entries()) {
      expect(await weight.data()).to.deep.equal(await wide.getWeights()[i].data());
    }
    expect(heldInHalf(narrow)).to.deep.equal([false, false]);
    expect(tf.memory().numTensors).to.equal(before);
    narrow.setWeights(wide.getWeights());
    narrow.releaseWeights();
    for (const linear of [wide, narrow]) linear.dispose();
  });

  it('become float32 when they are trained, and stay half while other things are', async () => {
    const [wide, narrow] = [await layer('float32'), await layer('auto')];
    const before = tf.memory().numTensors;
    const inputs = x();
    narrow.trainable = false;
    const gradients = [wide, narrow].map((linear) => tf.grad((at) => linear.call(at))(inputs));
    expect(await gradients[1].data()).to.deep.equal(await gradients[0].data());
    tf.dispose(gradients);
    expect(heldInHalf(narrow)).to.deep.equal([half, false]);
    narrow.trainable = true;
    for (const linear of [wide, narrow]) {
      const optimizer = tf.train.sgd(0.1);
      optimizer.minimize(() => tf.sum(tf.square(linear.call(inputs))) as tf.Scalar);
      optimizer.dispose();
    }
    expect(heldInHalf(narrow)).to.deep.equal([false, false]);
    const [ours, expected] = [narrow.getWeights(), wide.getWeights()];
    for (const i of [0, 1]) expect(await ours[i].data()).to.deep.equal(await expected[i].data());
    tf.dispose(inputs);
    for (const linear of [wide, narrow]) linear.dispose();
    expect(tf.memory().numTensors).to.be.at.most(before);
  });

  it('are refused with the way out on another backend', async function () {
    if (!half) this.skip();
    const narrow = await layer('auto');
    tf.setBackend('cpu');
    try {
      const inputs = x();
      expect(() => narrow.call(inputs)).to.throw("Load them with `weightDtype: 'float32'`");
      inputs.dispose();
    } finally {
      tf.setBackend(testBackend);
    }
    narrow.dispose();
  });
});
