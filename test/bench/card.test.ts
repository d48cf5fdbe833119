/** The run on a graphics card: what it chooses, what it reads from logs, and its end without one. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Budget } from '../../bench/card/budget.ts';
import { cardCases, onProcessor, sizedCases } from '../../bench/card/cases.ts';
import { targetsAmong } from '../../bench/card/devices.ts';
import { hostKernelIn, reasonIn } from '../../bench/card/measure.ts';
import { type CardResults, cardTables, resultsName } from '../../bench/card/table.ts';
import type { BackendReport } from '../../src/backends/index.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

describe('the budget of a run on a card', () => {
  let milliseconds = 0;
  const budget = () => {
    milliseconds = 0;
    return new Budget(600, () => milliseconds);
  };

  it('lets the first process of a kind run, whose time is not known', () => {
    const fresh = budget();
    expect(fresh.expected({ speed: 'cuda unet', work: 1e15 })).to.equal(0);
    expect(fresh.allows({ speed: 'cuda unet', work: 1e15 })).to.equal(true);
  });

  it('expects the start and two rounds in proportion to the work, by the slowest so far', () => {
    const learned = budget();
    learned.note({ speed: 'cuda unet', work: 1000 }, { start: 5, round: 10 });
    learned.note({ speed: 'cuda unet', work: 1000 }, { start: 8, round: 9 });
    expect(learned.expected({ speed: 'cuda unet', work: 3000 })).to.equal(8 + 2 * 30);
    expect(learned.expected({ speed: 'webgpu unet', work: 3000 })).to.equal(0);
  });

  it('refuses what would exceed the time, and everything once it is over', () => {
    const used = budget();
    used.note({ speed: 'cuda', work: 1 }, { start: 0, round: 1 });
    milliseconds = 500_000;
    expect(used.left()).to.equal(100);
    expect(used.allows({ speed: 'cuda', work: 50 })).to.equal(true);
    expect(used.allows({ speed: 'cuda', work: 51 })).to.equal(false);
    milliseconds = 700_000;
    expect(used.left()).to.equal(0);
    expect(used.allows({ speed: 'other', work: 0 })).to.equal(false);
  });
});

describe('a run on a card', () => {
  const report = (name: string, device: string, more: Partial<BackendReport> = {}) =>
    ({ name, package: name, version: '1', available: true, device, ...more }) as BackendReport;
  const processor = report('tensorflow', 'Xeon', { package: '@tensorflow/tfjs-node' });
  const backends = (reports: BackendReport[]) =>
    targetsAmong(reports).map(({ backend, onCard }) => ({ backend, onCard }));

  it('takes a card of webgpu, and no adapter that is software', () => {
    expect(backends([processor, report('webgpu', 'Radeon')])).to.deep.equal([
      { backend: 'webgpu', onCard: true },
    ]);
    expect(backends([processor, report('webgpu', 'SwiftShader Device')])).to.deep.equal([
      { backend: 'tensorflow', onCard: false },
    ]);
  });

  it('takes the fastest backend of the processor without a card, or says that none works', () => {
    const broken = { ...processor, available: false };
    expect(backends([broken, report('wasm', 'Xeon')])).to.deep.equal([
      { backend: 'wasm', onCard: false },
    ]);
    expect(() => targetsAmong([broken])).to.throw('No backend works: `svd backends` says why.');
  });

  it('starts with parity, and has every part at both sizes with 14 and 25 frames', () => {
    expect(cardCases.slice(0, 3)).to.deep.equal([
      'parity-float32',
      'parity-half',
      'unet-guided-256x256-14',
    ]);
    for (const part of ['unet-guided', 'unet-unguided', 'decode'])
      for (const size of ['256x256', '576x1024'])
        for (const frames of [14, 25]) expect(cardCases).to.include(`${part}-${size}-${frames}`);
  });

  it('makes every case small on a processor', () => {
    for (const sized of Object.values(sizedCases)) {
      const { height, width, frames } = onProcessor(sized);
      expect(height * width * frames).to.be.at.most(3 * 64 * 96);
    }
  });

  it("finds in TensorFlow's log the kernels that run on the processor", () => {
    const line = (device: string) =>
      'I0000 00:00:1.5 1 execute.cc:1775] Executing op MatMul in device ' +
      `/job:localhost/replica:0/task:0/device:${device}`;
    expect(hostKernelIn(line('CPU:0'))).to.equal('MatMul');
    expect(hostKernelIn(line('GPU:0'))).to.equal(undefined);
    expect(hostKernelIn('Placer place op [MatMul] on device: /device:CPU:0')).to.equal(undefined);
  });

  it('gives the last error of a process that has ended as the reason', () => {
    const lines = ['Error: out of memory', '    at run (a.js:1)', '', 'Node.js v22'];
    expect(reasonIn(lines)).to.equal('Error: out of memory');
    expect(reasonIn(['first', ' last ', ''])).to.equal('last');
    expect(reasonIn([])).to.equal(undefined);
  });

  const target = { backend: 'cuda', device: 'tensorflow-gpu', name: 'NVIDIA A10', version: '4' };
  const results = {
    targets: [{ ...target, onCard: true }],
    checkpoint: 'weights/tiny',
    notes: ['diffusers is not compared.'],
    parity: [{ case: 'parity-half', backend: 'cuda', passed: 5, failed: 1, failures: ['one: 2'] }],
    sizes: [
      {
        ...{ ...sizedCases['unet-guided-256x256-14'], case: 'unet-guided-256x256-14', by: 'cuda' },
        ...{ dtype: 'float16', seconds: 1.5, ratio: 0.5, relative_l2: 0.001 },
        ...{ predicted_device_bytes: 2 ** 31, device_bytes: 2 ** 30, host_kernels: ['Where'] },
      },
      {
        ...{ ...sizedCases['decode-576x1024-25'], case: 'decode-576x1024-25', by: 'cuda' },
        ...{ dtype: 'float32', failure: 'out of memory' },
      },
    ],
    left_out: ['decode-256x256-25 in float32 on cuda: about 9 s, of which 3 s are left'],
  } as CardResults;

  it('shows figures, kernels on the processor, failures and what was left out', () => {
    const shown = cardTables(results);
    expect(shown).to.match(/\| UNet, guided \| +14 of 256x256 \| float16 \| cuda \|/);
    expect(shown).to.match(/\| +1\.50 \| +0\.50 \| +2\.00 \| +1\.00 \| +1\.0e-3 \|/);
    for (const line of [
      'diffusers is not compared.',
      'Kernels that ran on the processor:\n\n* cuda in float16: Where',
      'Failed:\n\n* one: 2\n* decode-576x1024-25 in float32 on cuda: out of memory',
      `Left out, because the time was short:\n\n* ${results.left_out[0]}`,
    ])
      expect(shown).to.include(line);
  });

  it('names its file after the device', () => {
    expect(resultsName(results)).to.equal('card-nvidia-a10.json');
  });

  it('runs to its end without a card, with small sizes, and says so @slow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svd-test-'));
    const json = join(folder, 'card.json');
    const hidden = { CUDA_VISIBLE_DEVICES: '', VK_ICD_FILENAMES: '', PYTHON: 'none' };
    try {
      const names = ['parity-float32', 'unet-guided-256x256-14', 'decode-256x256-14'];
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [
          ...['--import', 'tsx', path('bench/run.ts'), '--card', '--json', json],
          ...names.flatMap((name) => ['--case', name]),
        ],
        { env: { ...process.env, ...hidden } },
      );
      expect(stdout).to.include('No graphics card was found.');
      expect(stdout).to.include('diffusers is not compared: none has no torch with diffusers.');
      const { command, machine, ...written } = JSON.parse(readFileSync(json, 'utf8'));
      expect([command, machine.node]).to.deep.equal([
        `npm run bench -- --card --json ${json} ${names.map((name) => `--case ${name}`).join(' ')}`,
        process.version,
      ]);
      expect(written.left_out).to.deep.equal([]);
      const [parity] = written.parity;
      expect(parity.passed).to.be.above(0);
      expect(parity.failed).to.equal(0);
      for (const row of written.sizes) {
        expect(row.failure).to.equal(undefined);
        expect([row.height, row.width, row.frames]).to.deep.equal([64, 64, 2]);
        for (const figure of ['seconds', 'process_bytes', 'predicted_process_bytes'])
          expect(row[figure], figure).to.be.above(0);
      }
      expect(new Set(written.sizes.map((row: { case: string }) => row.case))).to.deep.equal(
        new Set(names.slice(1)),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
