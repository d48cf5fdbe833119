import { expect } from 'chai';
import { type Device, guardDevice } from '../../../src/backends/webgpu/guard.ts';

/** A device without a card, whose errors and loss the test causes. */
function fakeDevice() {
  let lose = (_: { reason: string; message: string }) => {};
  let fail = (_: { error: Error; preventDefault(): void }) => {};
  const device: Device = {
    limits: { maxBufferSize: 1000, maxStorageBufferBindingSize: 500 },
    lost: new Promise((done) => {
      lose = done;
    }),
    createBuffer: (descriptor) => descriptor,
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
    const check = guardDevice(device);
    check();
    fail('no memory');
    expect(check).to.throw(/^The webgpu backend failed: no memory Try a smaller size/);
    check();
    lose('unknown');
    await device.lost;
    for (const time of ['first', 'second'])
      expect(check, time).to.throw(/the device was lost: reset/);
  });

  it('does not take its own end for a loss', async () => {
    const { device, lose } = fakeDevice();
    const check = guardDevice(device);
    lose('destroyed');
    await device.lost;
    check();
  });

  it('refuses tensors and buffers beyond the limits', () => {
    const { device } = fakeDevice();
    guardDevice(device);
    expect(() => device.createBuffer({ size: 501, usage: 0x80 })).to.throw(
      /takes tensors of at most/,
    );
    expect(device.createBuffer({ size: 501, usage: 0 })).to.deep.equal({ size: 501, usage: 0 });
  });
});
