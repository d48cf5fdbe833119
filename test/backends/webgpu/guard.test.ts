import { expect } from 'chai';
import type { Device } from '../../../src/backends/webgpu/device.ts';
import { DeviceLostError, guardDevice } from '../../../src/backends/webgpu/guard.ts';

/** A device without a card, whose errors and loss the test causes. */
function fakeDevice() {
  let lose = (_: { reason: string; message: string }) => {};
  let fail = (_: { error: Error; preventDefault(): void }) => {};
  const device: Device = {
    limits: { maxBufferSize: 1000, maxStorageBufferBindingSize: 500 },
    lost: new Promise((done) => {
      lose = done;
    }),
    queue: { onSubmittedWorkDone: async () => {} },
    createBuffer: ({ size, usage }) => ({ size, usage, destroy() {} }),
    addEventListener: (_, listener) => {
      fail = listener;
    },
    destroy() {},
  };
  return {
    device,
    lose: (reason: string) => lose({ reason, message: 'reset' }),
    fail: (message: string) => fail({ error: new Error(message), preventDefault() {} }),
  };
}

describe('guardDevice', () => {
  it('throws an error once, and a loss from then on', async () => {
    const { device, lose, fail } = fakeDevice();
    const { check } = guardDevice(device);
    check();
    fail('no memory');
    expect(check).to.throw(/^The webgpu backend failed: no memory Try a smaller size/);
    check();
    lose('unknown');
    await device.lost;
    for (const time of ['first', 'second'])
      expect(check, time).to.throw(
        /The webgpu device was lost: reset\. Make the backend ready again/,
      );
  });

  it('does not take its own end for a loss', async () => {
    const { device, lose } = fakeDevice();
    const { check, release } = guardDevice(device);
    release();
    lose('destroyed');
    await device.lost;
    check();
  });

  it('names the block that ran when the device was lost', async () => {
    const { device, lose } = fakeDevice();
    const { check } = guardDevice(device);
    check('up_blocks.0');
    check();
    lose('unknown');
    await device.lost;
    expect(() => device.createBuffer({ size: 4, usage: 0 })).to.throw(
      /^The webgpu device was lost while up_blocks\.0 ran: reset\. Make/,
    );
  });

  it('throws a loss rather than the failures that come before it', async () => {
    const { device, lose } = fakeDevice();
    const { watch } = guardDevice(device);
    const failing = watch(async () => {
      setTimeout(() => lose('unknown'), 20);
      throw new Error('It is gone.');
    });
    const error = await failing.catch((error: unknown) => error);
    expect(error).to.be.instanceOf(DeviceLostError);
    expect((error as DeviceLostError).loss).to.equal('The webgpu device was lost: reset.');
    expect(await watch(async () => 1).catch((error: unknown) => error)).to.be.instanceOf(
      DeviceLostError,
    );
  });

  it('throws other failures as they are', async () => {
    const { watch } = guardDevice(fakeDevice().device);
    const failing = watch(async () => {
      throw new Error('It is wrong.');
    });
    expect(await failing.catch(({ message }) => message)).to.equal('It is wrong.');
    expect(await watch(async () => 1)).to.equal(1);
  });

  it('refuses tensors and buffers beyond the limits', () => {
    const { device } = fakeDevice();
    guardDevice(device);
    expect(() => device.createBuffer({ size: 501, usage: 0x80 })).to.throw(
      /takes tensors of at most/,
    );
    expect(device.createBuffer({ size: 501, usage: 0 }).size).to.equal(501);
  });
});
