/**
 * The errors of the webgpu backend where WebGPU itself would only print: on SwiftShader, or without
 * it that of a missing adapter.
 */
import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { inFreshProcess, swiftShader } from '../freshProcess.ts';

const driver = existsSync(swiftShader) ? swiftShader : '/nonexistent.json';

/** Runs `code` on webgpu and expects its result, or, without a driver, that the backend says so. */
async function expectOnWebgpu(code: string, check: (result: never) => void): Promise<void> {
  const result = await inFreshProcess<unknown>(
    `const absence = await messageOf(() => useBackend('webgpu')); if (absence === 'nothing ` +
      `was thrown') { ${code} } else give(absence);`,
    { VK_ICD_FILENAMES: driver },
  );
  if (driver === swiftShader) check(result as never);
  else
    expect(result).to.match(
      /^The webgpu backend is unusable \(no graphics adapter was found\)\. It needs /,
    );
}

const wayOut = 'Try a smaller size, fewer frames, a smaller decode chunk, or another backend.';

describe('webgpu', () => {
  it('refuses a tensor beyond the limits of the device', () =>
    expectOnWebgpu(
      `give(await messageOf(() => tf.add(tf.ones([1, 18000, 1]), tf.ones([1, 1, 18000]))));`,
      (message) => {
        expect(message).to.equal(
          'The webgpu device takes tensors of at most 1024 MiB but one of 1236 MiB is needed. ' +
            `${wayOut}`,
        );
      },
    ));

  it('lets a read fail after an error on the device, once', () =>
    expectOnWebgpu(
      `
      tf.backend().device.createTexture({ size: [1e9, 1], format: 'rgba8unorm', usage: 1 });
      const sum = tf.add(tf.ones([2000]), 1);
      const message = await messageOf(() => sum.data());
      give([message, (await sum.data())[0]]);
      `,
      ([message, value]: [string, number]) => {
        expect(message).to.match(/^The webgpu backend failed: Texture size .+ another backend\.$/);
        expect(value).to.equal(2);
      },
    ));

  it('says how to read instead of synchronously', () =>
    expectOnWebgpu(
      `
      const sum = tf.add(tf.ones([2000]), 1);
      const message = await messageOf(() => sum.dataSync());
      await sum.data();
      give([message, sum.dataSync()[0]]);
      `,
      (result) => {
        expect(result).to.deep.equal([
          'The webgpu backend cannot read a tensor synchronously. Use `await tensor.data()` ' +
            'instead of `dataSync()`.',
          2,
        ]);
      },
    ));

  it('asks for all that the adapter has', () =>
    expectOnWebgpu(
      `
      const adapter = await navigator.gpu.requestAdapter();
      const { limits } = tf.backend().device;
      const names = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupsPerDimension'];
      give([names.map((name) => limits[name]), names.map((name) => adapter.limits[name])]);
      `,
      ([has, could]: [number[], number[]]) => {
        expect(has).to.deep.equal(could);
      },
    ));

  it('uses large buffers again at once, also for less, and reads no more than a tensor', () =>
    expectOnWebgpu(
      `
      const length = 2 ** 21;
      const more = tf.add(tf.ones([1.5 * length]), 0);
      await more.data();
      const { bytes } = tf.backend().bufferBytes;
      let sum = tf.slice(more, 0, length + 1);
      for (let i = 0; i < 20; i++) {
        const next = tf.add(sum, 1);
        sum.dispose();
        sum = next;
      }
      const { peakBytes } = tf.backend().bufferBytes;
      tf.add(more, 1).dispose();
      const less = tf.add(tf.slice(sum, 0, length), 1);
      const lengths = [(await less.data()).length, (await less.data()).length, less.dataSync().length];
      const { buffer } = await sum.data();
      give([(peakBytes - bytes) / 4 / length, ...lengths.map((n) => n / length), less.dataSync()[length - 1],
        buffer.byteLength / 4 - length, new Set(new Float32Array(buffer)).size]);
      `,
      ([buffers, ...read]: number[]) => {
        expect(buffers, 'of 21').to.be.within(2, 3.1);
        expect(read).to.deep.equal([1, 1, 1, 22, 1, 1]);
      },
    ));

  it('has computed all when a model is loaded, since the process may end then', () =>
    expectOnWebgpu(
      `
      const { StableVideoDiffusionPipeline } = await import('./src/pipelines/node.ts');
      const { packagedModel } = await import('./src/checkpoints/packagedModel.ts');
      const { queue } = tf.backend().device;
      const submit = queue.submit.bind(queue);
      let [submitted, computed] = [0, 0];
      queue.submit = (commands) => {
        const number = ++submitted;
        submit(commands);
        queue.onSubmittedWorkDone().then(() => { computed = number; });
      };
      await StableVideoDiffusionPipeline.fromPretrained(packagedModel, { backend: 'webgpu' });
      give([submitted > 0, submitted - computed, tf.backend().commandEncoder]);
      `,
      (result) => {
        expect(result).to.deep.equal([true, 0, null]);
      },
    ));

  it('gives freed memory back, and has another device after a loss', () =>
    expectOnWebgpu(
      `
      const { settleDevice } = await import('./src/ops/device.ts');
      tf.add(tf.ones([200000]), 1).dispose();
      const { bufferBytes, device } = tf.backend();
      await settleDevice('one');
      const { bytes } = bufferBytes;
      device.destroy();
      await device.lost;
      const message = await messageOf(() => settleDevice('two'));
      await useBackend('webgpu');
      give([bytes, message, (await tf.add(tf.ones([2000]), 1).data())[0]]);
      `,
      ([bytes, message, value]: [number, string, number]) => {
        expect(bytes).to.be.below(1_000_000);
        expect(message).to.match(/^The webgpu device was lost while one ran: .+ Make the backend/);
        expect(value).to.equal(2);
      },
    ));

  it('can be released and used again', () =>
    expectOnWebgpu(
      `
      releaseBackend();
      const released = [typeof navigator.gpu, tf.findBackendFactory('webgpu') ?? null];
      await useBackend('webgpu');
      give([...released, (await tf.add(tf.ones([2000]), 1).data())[1999]]);
      `,
      (result) => {
        expect(result).to.deep.equal(['undefined', null, 2]);
      },
    ));
});
