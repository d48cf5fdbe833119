/**
 * The wasm backend's threads and the end of its memory. Each case is a process of its own: the
 * backend is started once.
 */
import { expect } from 'chai';
import { guardMemory, type WasmModule } from '../../../src/backends/wasm/memory.ts';
import { inFreshProcess } from '../freshProcess.ts';

describe('wasm threads', () => {
  const compute = `
    const left = tf.sin(tf.range(0, 300 * 257)).reshape([300, 257]);
    const right = tf.cos(tf.range(0, 257 * 129)).reshape([257, 129]);
    const picture = tf.sin(tf.range(0, 2 * 33 * 31 * 40)).reshape([2, 33, 31, 40]);
    const filter = tf.cos(tf.range(0, 9 * 40 * 24)).reshape([3, 3, 40, 24]);
    const all = tf.concat([tf.matMul(left, right).flatten(), tf.conv2d(picture, filter, 1, 'same').flatten(), tf.softmax(left).flatten()]);
    const bytes = new Uint8Array((await all.data()).buffer);
    const { createHash } = await import('node:crypto');
    give({ device: report.device.split(', ').at(-1), reason: report.reason ?? '', hash: createHash('sha256').update(bytes).digest('hex') });
  `;
  type Result = { device: string; reason: string; hash: string };
  let single: Result;

  before(async () => {
    single = await inFreshProcess<Result>(
      `const report = await useBackend('wasm', { threads: 1 }); ${compute}`,
    );
  });

  it('are one when one is asked for', () => {
    expect(single.device).to.equal('1 thread');
  });

  for (const threads of [2, 8]) {
    it(`give the same bits when there are ${threads}`, async () => {
      const several = await inFreshProcess<Result>(
        `const report = await useBackend('wasm', { threads: ${threads} }); ${compute}`,
      );
      expect(several).to.deep.equal({
        device: `${threads} threads`,
        reason: '',
        hash: single.hash,
      });
    });
  }

  it('keep their number', async () => {
    const message = await inFreshProcess<string>(`
      await useBackend('wasm', { threads: 2 });
      await useBackend('wasm');
      give(await messageOf(() => useBackend('wasm', { threads: 3 })));
    `);
    expect(message).to.equal(
      'The wasm backend already runs with `threads` 2, so it cannot get 3. Choose the number ' +
        'when it is first used.',
    );
  });

  it('leave nothing behind in the process', async () => {
    const [before, after] = await inFreshProcess<[unknown, unknown]>(`
      const os = (await import('node:module')).createRequire(process.cwd() + '/')('node:os');
      const state = () => [process.listenerCount('uncaughtException'), process.listenerCount('unhandledRejection'), typeof globalThis.Worker, os.cpus().length];
      const before = state();
      await useBackend('wasm', { threads: 2 });
      give([before, state()]);
    `);
    expect(after).to.deep.equal(before);
  });
});

describe('wasm memory', () => {
  const advice = 'Try a smaller size, fewer frames, a smaller decode chunk, or another backend.';

  it('says that a tensor does not fit, and goes on when there is room again', async () => {
    const [full, huge, sum] = await inFreshProcess<[string, string, number]>(`
      await useBackend('wasm', { threads: 2 });
      const held = [];
      // Outputs that nothing is written to, so that the test takes addresses and hardly any memory.
      const hold = () => held.push(tf.backend().makeOutput([2 ** 27], 'float32').dataId);
      const full = await messageOf(() => { for (let i = 0; i < 9; i++) hold(); });
      const huge = await messageOf(() => tf.backend().makeOutput([1.5 * 2 ** 30], 'float32'));
      for (const dataId of held) tf.backend().disposeData(dataId);
      give([full, huge, (await tf.ones([1000]).sum().data())[0]]);
    `);
    expect(full).to.equal(
      'The wasm backend is out of memory: WebAssembly has 4 GiB, and a tensor of 512 MiB did ' +
        `not fit. ${advice}`,
    );
    // 6 GiB is 2 GiB modulo 4 GiB, which would fit.
    expect(huge).to.equal(
      'The wasm backend is out of memory: WebAssembly has 4 GiB, and a tensor of 6144 MiB did ' +
        `not fit. ${advice}`,
    );
    expect(sum).to.equal(1000);
  });

  for (const threads of [1, 2]) {
    for (const [kernel, filter, operation] of [
      ['Conv2D', '[3, 3, 1000, 1000]', "tf.conv2d(tf.ones([1, 8, 8, 1000]), filter, 1, 'same')"],
      ['BatchMatMul', '[3000, 3000]', 'tf.matMul(tf.ones([8, 3000]), filter)'],
    ]) {
      it(`says so when ${kernel} needs it for itself, with threads ${threads}`, async () => {
        const message = await inFreshProcess<string>(`
          await useBackend('wasm', { threads: ${threads} });
          const filter = tf.ones(${filter});
          // Leaves 16 MiB, and XNNPACK packs a copy of the filter's 36 MB.
          const reserve = tf.backend().makeOutput([2 ** 22], 'float32').dataId;
          for (let bytes = 2 ** 29; bytes >= 2 ** 20; bytes /= 2) {
            await messageOf(() => { for (;;) tf.backend().makeOutput([bytes / 4], 'float32'); });
          }
          tf.backend().disposeData(reserve);
          give(await messageOf(() => ${operation}.dataSync()));
        `);
        expect(message).to.equal(
          `The wasm backend is out of memory: WebAssembly has 4 GiB, and what ${kernel} ` +
            `needed for itself did not fit. ${advice}`,
        );
      });
    }
  }

  it(
    'blames a kernel for what is printed while it runs, and for nothing that a video encoder ' +
      'prints before',
    () => {
      const warnings = { count: 0 };
      const print = () => {
        warnings.count++;
      };
      const wasm: WasmModule = {
        HEAPU8: new Uint8Array(8),
        _malloc: () => 8,
        _free: () => {},
        cwrap: (name) => (name === 'Refused' ? print : () => {}),
      };
      guardMemory(wasm, warnings);
      const [add, refused] = ['Add', 'Refused'].map((name) => wasm.cwrap(name));
      print();
      add();
      expect(refused).to.throw(
        'The wasm backend could not compute Refused, for the reason that it has printed. Try ' +
          'another backend.',
      );
      add();
    },
  );
});
