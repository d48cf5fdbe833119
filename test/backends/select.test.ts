/** Choosing a backend: each computes where it is available, and says how to get it elsewhere. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  type BackendName,
  type BackendReport,
  backendNames,
  listBackends,
  useBackend,
} from '../../src/backends/index.ts';
import { hasDriver } from '../../src/backends/tensorflow/card.ts';
import { inFreshProcess, swiftShader } from './freshProcess.ts';

/** The message of each backend when it cannot be used. */
const absence: Record<BackendName, RegExp> = {
  tensorflow:
    /^The tensorflow backend is (not installed|unusable \(.+\))\. `svd setup tensorflow` .*`npm install @tensorflow\/tfjs-node`/,
  webgpu:
    /^The webgpu backend is (not installed\. `svd setup webgpu` sets it up|unusable \(.+\)\. It needs a graphics card with a driver for Vulkan, Metal or Direct3D 12)\.$/,
  wasm: /^The wasm backend is not installed\. `npm install @tensorflow\/tfjs-backend-wasm@4\.22\.0`/,
  cpu: /^never/,
};

describe('useBackend', () => {
  let reports: BackendReport[];
  let backendBefore: string;
  let backendAfter: string;

  before(async () => {
    backendBefore = tf.getBackend();
    reports = await listBackends();
    backendAfter = tf.getBackend();
  });

  it('is reported on without changing the backend in use', () => {
    expect(backendAfter).to.equal(backendBefore);
    expect(reports.map(({ name }) => name)).to.deep.equal([...backendNames]);
  });

  for (const [index, name] of backendNames.entries()) {
    it(`multiplies matrices on ${name}, or says how to get it`, async () => {
      const report = reports[index];
      if (!report.available) {
        expect(report.reason).to.match(absence[name]);
        return;
      }
      expect(report).to.include.keys('package', 'version', 'device');
      // Ones times columns of 0, 1, ..., 63 is 63 * 64 / 2 everywhere. Enough elements for webgpu
      // not to leave them to the processor.
      const result = await inFreshProcess<{
        report: BackendReport;
        backend: string;
        values: number[];
      }>(`
        const report = await useBackend('${name}');
        const product = tf.matMul(tf.ones([64, 64]), tf.tile(tf.range(0, 64).expandDims(1), [1, 64]));
        give({ report, backend: tf.getBackend(), values: [...new Set(await product.data())] });
      `);
      expect(result).to.deep.equal({ report, backend: name, values: [2016] });
    });
  }

  it('takes by itself the first that is not software', async () => {
    const first = reports.find(
      ({ available, device }) => available && !/swiftshader|llvmpipe/i.test(device ?? ''),
    )!;
    const chosen = await inFreshProcess<BackendReport>('give(await useBackend());');
    expect(chosen).to.deep.equal(first);
  });

  it('takes WebGPU in software only by name', async () => {
    const nothingSetUp = mkdtempSync(join(tmpdir(), 'svd-'));
    const driver = existsSync(swiftShader) ? swiftShader : '/nonexistent.json';
    const [chosen, named] = await inFreshProcess<string[]>(
      'const chosen = (await useBackend()).name; give([chosen, await messageOf(() => ' +
        `useBackend('webgpu'))]);`,
      { SVD_TENSORFLOW_DIR: nothingSetUp, VK_ICD_FILENAMES: driver },
    );
    rmSync(nothingSetUp, { recursive: true });
    expect(chosen).to.be.oneOf(['tensorflow', 'wasm']);
    if (driver === swiftShader) expect(named).to.equal('nothing was thrown');
    else expect(named).to.match(absence.webgpu);
  });

  it('says how to get tensorflow where it is not set up', async () => {
    const nothingSetUp = mkdtempSync(join(tmpdir(), 'svd-'));
    const message = await inFreshProcess<string>(
      'give(await messageOf(async () => { throw new Error((await ' +
        `useBackend('tensorflow')).package); }));`,
      { SVD_TENSORFLOW_DIR: nothingSetUp },
    );
    rmSync(nothingSetUp, { recursive: true });
    // Where npm could install tfjs-node, that one is used.
    if (!/^@tensorflow\/tfjs-node(-gpu)?$/.test(message))
      expect(message).to.match(absence.tensorflow);
  });

  it('takes no other backend for cuda, and says what is missing', async function () {
    const hidden = await inFreshProcess<string>(
      `give(await messageOf(() => useBackend('cuda')));`,
      { CUDA_VISIBLE_DEVICES: '-1' },
    );
    expect(hidden).to.equal(
      'cuda needs an NVIDIA card, but CUDA_VISIBLE_DEVICES is "-1", which hides every card. Use ' +
        'another backend: auto takes the fastest that works.',
    );
    if (hasDriver()) this.skip();
    const [message, later] = await inFreshProcess<string[]>(
      `const message = await messageOf(() => useBackend('cuda'));
      const other = await messageOf(() => useBackend('tensorflow'));
      give([message, other === 'nothing was thrown' ? await messageOf(() => useBackend('cuda')) : '']);`,
    );
    expect(message).to.match(/^cuda needs an NVIDIA card, but no NVIDIA driver is loaded\. /);
    if (later !== '') expect(later).to.match(/^This process uses .+, and not on an NVIDIA card\. /);
  });

  it('loads no WebGPU by itself where there is no card', async function () {
    if (hasDriver() || existsSync('/dev/dri')) this.skip();
    const nothingSetUp = mkdtempSync(join(tmpdir(), 'svd-'));
    const loaded = await inFreshProcess<string[]>(
      'await useBackend(); give(process.report.getReport().sharedObjects);',
      { SVD_TENSORFLOW_DIR: nothingSetUp, VK_ICD_FILENAMES: swiftShader },
    );
    rmSync(nothingSetUp, { recursive: true });
    expect(loaded.filter((path) => /dawn|vulkan/.test(path))).to.deep.equal([]);
  });

  it('says how to get webgpu where there is no driver', async () => {
    const message = await inFreshProcess<string>(
      `give(await messageOf(() => useBackend('webgpu')));`,
      {
        VK_ICD_FILENAMES: '/nonexistent.json',
      },
    );
    expect(message).to.match(absence.webgpu);
  });

  it('refuses options that there are not', async () => {
    const error = await useBackend('cpu', { thread: 2 } as object).catch((thrown) => thrown);
    expect(error.message).to.equal('`useBackend` has no option `thread`. Did you mean `threads`?');
  });

  it('refuses other names and numbers of threads', async () => {
    const refusal = async (action: () => Promise<unknown>) =>
      action().then(String, (error: Error) => error.message);
    expect(await refusal(() => useBackend('directml' as BackendName))).to.equal(
      '`backend` has to be one of auto, cuda, tensorflow, webgpu, wasm, cpu but is directml.',
    );
    for (const name of ['gpu', 'GPU', 'nvidia'])
      expect(await refusal(() => useBackend(name as BackendName))).to.equal(
        `\`backend\` ${name} may mean two: use cuda for an NVIDIA card, or webgpu for any other.`,
      );
    for (const threads of [0, 9, 1.5, Number.NaN]) {
      for (const name of ['wasm', 'tensorflow', 'auto'] as const) {
        expect(await refusal(() => useBackend(name, { threads }))).to.equal(
          `\`threads\` has to be a whole number from 1 to 8 but is ${threads}.`,
        );
      }
    }
  });
});

describe('tf32', () => {
  // The libraries of NVIDIA read the variable; 0 forbids TensorFloat-32.
  for (const [options, given, seen] of [
    ['{}', undefined, '0'],
    ['{}', '1', '1'],
    ['{ tf32: false }', '1', '0'],
    ['{ tf32: true }', '0', 'unset'],
  ] as const) {
    it(`with ${options} and NVIDIA_TF32_OVERRIDE ${given ?? 'unset'} leaves it ${seen}`, async () => {
      const result = await inFreshProcess<string[]>(
        `
        ${given === undefined ? 'delete process.env.NVIDIA_TF32_OVERRIDE' : `process.env.NVIDIA_TF32_OVERRIDE = '${given}'`};
        const refusal = await messageOf(() => useBackend('tensorflow', ${options}));
        const { tf32 = ${seen !== '0'} } = ${options};
        const seen = process.env.NVIDIA_TF32_OVERRIDE ?? 'unset';
        await messageOf(() => useBackend('tensorflow', { tf32 }));
        give([refusal, seen, await messageOf(() => useBackend('tensorflow', { tf32: !tf32 }))]);
        `,
      );
      if (result[0] !== 'nothing was thrown') {
        expect(result[0]).to.match(absence.tensorflow);
        return;
      }
      expect(result[1]).to.equal(seen);
      expect(result[2]).to.equal(
        `The tensorflow backend already runs with \`tf32\` ${seen !== '0'}. Choose it when ` +
          'the backend is first used.',
      );
    });
  }
});

describe('nativeHandleCount', () => {
  it('counts the tensors of tensorflow, and nothing elsewhere', async () => {
    const tensorflow = (await listBackends())[0];
    const [other, counts] = await inFreshProcess<[number | null, number[] | string]>(`
      await useBackend('cpu');
      const other = nativeHandleCount() ?? null;
      const counts = [];
      const refusal = await messageOf(async () => {
        await useBackend('tensorflow');
        counts.push(nativeHandleCount());
        const sum = tf.tidy(() => tf.add(tf.ones([2]), tf.ones([2])));
        counts.push(nativeHandleCount());
        sum.dispose();
        counts.push(nativeHandleCount());
      });
      give([other, counts.length ? counts : refusal]);
    `);
    expect(other).to.equal(null);
    if (tensorflow.available) expect(counts).to.deep.equal([0, 1, 0]);
    else expect(counts).to.match(absence.tensorflow);
  });
});
