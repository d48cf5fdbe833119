/** A whole model whose weights stay in half precision computes as in float32, to the bit. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { modelConfig } from '../../src/checkpoints/configs/schemas.ts';
import { loadWeights, openCheckpoint } from '../../src/checkpoints/index.ts';
import { withoutWeights } from '../../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../../src/models/index.ts';
import { holdsHalves } from '../../src/ops/halfWeights/halfWeights.ts';
import { isHalf } from '../../src/ops/index.ts';
import { uniforms } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

const values = (name: string, shape: number[]) =>
  tf.tensor(Float32Array.from(uniforms(name, tf.util.sizeFromShape(shape))), shape);

describe('a model with weights in half precision', () => {
  it('computes as in float32, to the bit, and frees all', async function () {
    if (!holdsHalves(testBackend)) this.skip();
    await using files = await openCheckpoint(tiny);
    const before = tf.memory().numTensors;
    const inputs = [
      values('latents', [2, 8, 8, 8]),
      tf.tensor1d([0.5]),
      values('context', [1, 1, 64]),
      tf.tensor2d([[6, 127, 0.02]]),
    ];
    const results: Uint8Array[] = [];
    const deviceBytes: number[] = [];
    for (const weightDtype of ['float32', 'auto'] as const) {
      const unet = new UNetSpatioTemporalConditionModel(modelConfig('unet', files.config('unet')));
      withoutWeights(() => unet.build());
      await loadWeights(unet, await files.weights('unet'), { weightDtype });
      const held = unet.parameters().filter(({ variable }) => isHalf(variable.read()));
      expect(held.length > 50).to.equal(weightDtype === 'auto');
      const loaded = tf.memory().numTensors;
      deviceBytes.push((tf.memory() as { numBytesInGPU?: number }).numBytesInGPU ?? 0);
      const output = tf.tidy(() => unet.apply(inputs, { numFrames: 2 }) as tf.Tensor);
      results.push(new Uint8Array((await output.data()).buffer));
      output.dispose();
      expect(tf.memory().numTensors).to.equal(loaded);
      unet.dispose();
    }
    tf.dispose(inputs);
    // Of this model, small weights, which stay in float32, are a fifth.
    if (testBackend === 'webgpu') expect(deviceBytes[1] / deviceBytes[0]).to.be.below(0.62);
    expect(results[1]).to.deep.equal(results[0]);
    expect(tf.memory().numTensors).to.equal(before);
  });
});
