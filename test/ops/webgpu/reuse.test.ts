import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { WebgpuBackend } from '../../../src/backends/webgpu/device.ts';
import { ResnetBlock2D, withoutWeights } from '../../../src/layers/index.ts';
import { BufferLists } from '../../../src/memory/shapes/bufferLists.ts';
import { dryRun } from '../../../src/memory/shapes/dryRun.ts';
import { settleDevice } from '../../../src/ops/device.ts';
import { fittingSize, HUGE, LARGE } from '../../../src/ops/webgpu/reuse.ts';
import { testBackend } from '../../setup.ts';

describe('fittingSize', () => {
  it('gives a large tensor the smallest buffer that it fits into and fills by two thirds', () => {
    const sizes = [LARGE, 5 * LARGE, 3 * LARGE, 2 * LARGE];
    expect(fittingSize(LARGE, sizes)).to.equal(LARGE);
    expect(fittingSize(1.5 * LARGE, sizes)).to.equal(2 * LARGE);
    expect(fittingSize(2.5 * LARGE, sizes)).to.equal(3 * LARGE);
    expect(fittingSize(LARGE, [1.6 * LARGE])).to.equal(undefined);
    expect(fittingSize(6 * LARGE, sizes)).to.equal(undefined);
  });

  it('gives a huge one also twice as much', () => {
    expect(fittingSize(HUGE, [2 * HUGE, 3 * HUGE])).to.equal(2 * HUGE);
    expect(fittingSize(HUGE, [2 * HUGE + 4])).to.equal(undefined);
  });

  it('gives a small tensor a buffer of its size', () => {
    expect(fittingSize(400, [404, 400])).to.equal(400);
    expect(fittingSize(400, [404, 396])).to.equal(undefined);
  });
});

describe('buffers of a block with large tensors', () => {
  it('are as many as planned', async function () {
    if (testBackend !== 'webgpu') this.skip();
    const shape = [4, 128, 128, 16]; // 4 MiB
    const args = { name: 'block', inChannels: 16, groups: 8 };
    const planned = new BufferLists();
    planned.run(
      dryRun('webgpu', (input) =>
        withoutWeights(() => new ResnetBlock2D(args).apply(input(...shape)) as tf.Tensor),
      ).trace,
    );
    const block = new ResnetBlock2D(args);
    block.build([shape]);
    await settleDevice();
    const { bufferBytes } = tf.backend() as WebgpuBackend;
    const before = bufferBytes!.bytes;
    bufferBytes!.peakBytes = before;
    const output = tf.tidy(() => block.apply(tf.fill(shape, 0.5)) as tf.Tensor);
    await settleDevice();
    const counted = bufferBytes!.peakBytes - before;
    expect(planned.touchedBytes / counted, `${counted}`).to.be.within(0.85, 1.15);
    output.dispose();
    block.dispose();
  });
});
