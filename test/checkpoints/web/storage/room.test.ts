/** What a browser is asked and told about the room of its storage. */
import { expect } from 'chai';
import { roomFor } from '../../../../src/checkpoints/web/storage/room.ts';

describe('room in the storage of a browser', () => {
  const real = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  afterEach(() => {
    if (real) Object.defineProperty(globalThis, 'navigator', real);
    else delete (globalThis as { navigator?: unknown }).navigator;
  });

  function browser(storage: object | undefined): void {
    Object.defineProperty(globalThis, 'navigator', { value: { storage }, configurable: true });
  }

  it('is what is left, and large downloads ask that they are not removed', async () => {
    let asked = 0;
    browser({
      estimate: async () => ({ quota: 5e9, usage: 4e9 }),
      persist: async () => {
        asked++;
        return false;
      },
    });
    expect(await roomFor(1e6)).to.equal(1e9);
    expect(asked).to.equal(0);
    expect(await roomFor(4.5e9)).to.equal(1e9);
    expect(asked).to.equal(1);
  });

  it('has no limit where the browser tells none or refuses to tell', async () => {
    const refuse = async () => {
      throw new TypeError('no');
    };
    for (const storage of [undefined, {}, { persist: refuse, estimate: refuse }]) {
      browser(storage);
      expect(await roomFor(4.5e9)).to.equal(Number.POSITIVE_INFINITY);
    }
    browser({ estimate: async () => ({ quota: 1, usage: 2 }) });
    expect(await roomFor(1)).to.equal(0);
  });
});
