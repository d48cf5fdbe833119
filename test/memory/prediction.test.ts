/** Predicted peak memory against that of a process which does the work. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { packagedModel } from '../../src/checkpoints/packagedModel.ts';
import type { LoadOptions, PlannedCall } from '../../src/pipelines/types.ts';
import { inFreshProcess } from '../backends/freshProcess.ts';
import { halfZeros, writeCheckpoint } from '../cli/checkpoint.ts';
import { componentsOf } from '../cli/runs.ts';
import { testBackend } from '../setup.ts';

interface Setting {
  /** Which of the checkpoints; `shipped` is the package's. Default `float32`. */
  model?: 'float16' | 'shipped';
  call: PlannedCall;
  load?: Pick<LoadOptions, 'offload' | 'weightDtype' | 'dtype'>;
}

const large = { height: 256, width: 256, numFrames: 8 };
const small = { height: 64, width: 64, numFrames: 2, outputType: 'latent' as const };
const few = { height: 64, width: 64, numFrames: 2, maxGuidanceScale: 1, decodeChunkSize: 2 };
const medium = { height: 192, width: 192, numFrames: 4 };

/**
 * Settings whose activations outweigh weights and program, and the steps of up to 96 MiB in which
 * wasm's heap grows; and ones whose weights outweigh all else.
 */
const settings: Record<string, Record<string, Setting>> = {
  tensorflow: {
    'both halves of guidance together, all frames decoded together': { call: large },
    'no guidance, two frames decoded together, one model in memory': {
      call: { ...large, maxGuidanceScale: 1, decodeChunkSize: 2 },
      load: { offload: 'model' },
    },
    'halves in turn, feed-forwards in chunks, latents only, one block in memory': {
      call: {
        ...large,
        numFrames: 14,
        guidanceTogether: false,
        forwardChunkSize: 2,
        outputType: 'latent',
      },
      load: { offload: 'sequential' },
    },
    'halves in turn, with the states of DeepCache': {
      call: { ...large, guidanceTogether: false, deepCache: { interval: 2 }, outputType: 'latent' },
    },
    'weights held in half precision': { model: 'float16', call: small },
    'bfloat16, weights rounded to it': {
      model: 'float16',
      call: small,
      load: { dtype: 'bfloat16' },
    },
    'bfloat16, activations outweigh weights': { call: large, load: { dtype: 'bfloat16' } },
    'the same weights widened once': {
      model: 'float16',
      call: small,
      load: { weightDtype: 'float32' },
    },
    'weights held in half precision, one block in memory': {
      model: 'float16',
      call: small,
      load: { offload: 'sequential' },
    },
  },
  wasm: {
    'all frames decoded together': { call: medium },
    'halves in turn, one frame decoded at a time, one block in memory': {
      call: { ...medium, numFrames: 8, guidanceTogether: false, decodeChunkSize: 1 },
      load: { offload: 'sequential' },
    },
  },
  webgpu: {
    'all weights on the device': { model: 'shipped', call: few },
    'one model on the device': { model: 'shipped', call: few, load: { offload: 'model' } },
    'one block on the device': { model: 'shipped', call: few, load: { offload: 'sequential' } },
  },
};

/** What a process needs for a call, and what was expected. */
interface Measured {
  processBytes: number;
  deviceBytes?: number;
  planned: { processBytes: number; deviceBytes?: number };
}

const code = (folder: string, { call, load }: Setting) => `
const { readFileSync } = await import('node:fs');
const { Generator } = await import('./src/random/index.ts');
const { StableVideoDiffusionPipeline } = await import('./src/pipelines/node.ts');
const call = ${JSON.stringify(call)};
let planned;
const pipe = await StableVideoDiffusionPipeline.fromPretrained(${JSON.stringify(folder)}, {
  backend: '${testBackend}', threads: 2, plannedFor: call, onPlan: (plan) => { planned = plan; }, ...${JSON.stringify(load ?? {})},
});
const { forwardChunkSize, ...options } = call;
if (forwardChunkSize) pipe.unet.enableForwardChunking(forwardChunkSize);
const image = { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(100) };
const { frames } = await pipe.generate(image, { ...options, numInferenceSteps: call.deepCache ? 2 : 1, generator: new Generator(1) });
give({
  processBytes: 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]),
  deviceBytes: tf.backend().wasm?.HEAPU8.length ?? tf.backend().bufferBytes?.peakBytes,
  planned: { processBytes: planned.processBytes, deviceBytes: planned.deviceBytes },
});
process.exit(0);
`;

const onLinux = (() => {
  try {
    return readFileSync('/proc/self/status', 'utf8').includes('VmHWM');
  } catch {
    return false;
  }
})();

describe('predicted memory @slow', () => {
  let folder: string;
  const cases = onLinux ? (settings[testBackend] ?? {}) : {};

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
    const base = await componentsOf('default-guidance');
    const withWidth = (width: number) => ({
      ...base,
      unet: {
        ...base.unet,
        block_out_channels: [width, width],
        layers_per_block: 1,
        num_attention_heads: [2, 2],
      },
      vae: { ...base.vae, block_out_channels: [64, 64, 128], layers_per_block: 1 },
    });
    const models = new Set<string>(Object.values(cases).map(({ model = 'float32' }) => model));
    if (models.has('float32')) await writeCheckpoint(join(folder, 'float32'), withWidth(128));
    if (models.has('float16'))
      await writeCheckpoint(join(folder, 'float16'), withWidth(640), halfZeros);
  });
  after(() => rm(folder, { recursive: true }));

  for (const [name, setting] of Object.entries(cases)) {
    const bound = testBackend === 'webgpu' ? 15 : 20;
    it(`is within ${bound} % of what is measured: ${name}`, async () => {
      const { model = 'float32' } = setting;
      const path = model === 'shipped' ? packagedModel : join(folder, model);
      const measured = await inFreshProcess<Measured>(code(path, setting));
      const ratio = (bytes: 'processBytes' | 'deviceBytes') =>
        measured.planned[bytes]! / measured[bytes]!;
      if (testBackend === 'webgpu')
        // whose adapter in software takes its memory in the process
        return expect(ratio('deviceBytes'), `${measured.deviceBytes}`).to.be.within(0.85, 1.15);
      expect(ratio('processBytes'), `process of ${measured.processBytes}`).to.be.within(0.8, 1.2);
      if (measured.deviceBytes !== undefined)
        expect(ratio('deviceBytes'), `heap of ${measured.deviceBytes}`).to.be.within(0.8, 1.2);
    });
  }
});
