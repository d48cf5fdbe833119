import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { CheckpointError, openSafetensors } from '../../../src/checkpoints/index.ts';
import { loadSamplingState, saveSamplingState } from '../../../src/pipelines/resume/stateFile.ts';
import type { SamplingState } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/generator.ts';

const floats = (...shape: number[]) => ({ data: new Generator(2).randn(shape), shape });

const state: SamplingState = {
  step: 3,
  latents: floats(1, 2, 4, 3, 5),
  generators: [new Generator(1).getState(), new Generator(2).getState()],
  firstGenerators: [new Generator(3).getState(), new Generator(4).getState()],
  scheduler: { stepIndex: 3, modelOutputs: [floats(2, 3), floats(4), floats(1, 2)] },
  settings: { seeds: ['3', '4'], fps: 7, noiseAugStrength: 0.02, scheduler: { rho: 7 } },
};
const extras = { metadata: { note: 'kept "as it is"' }, tensors: { image_noise: floats(1, 3) } };

describe('the file of a state', () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-state-'));
    path = join(folder, 'state.safetensors');
    await saveSamplingState(path, state, extras);
  });
  after(() => rm(folder, { recursive: true }));

  it('returns what went into it, to the bit', async () => {
    expect(await loadSamplingState(path)).to.deep.equal({ ...state, ...extras });
    const plain = join(folder, 'plain.safetensors');
    await saveSamplingState(plain, state);
    expect(await loadSamplingState(plain)).to.deep.equal({ ...state, metadata: {}, tensors: {} });
  });

  it("is a safetensors file with the latents in diffusers' axis order", async () => {
    const file = await openSafetensors(path);
    expect(file.info('latents').shape).to.deep.equal([1, 2, 4, 3, 5]);
    expect(await file.read('latents')).to.deep.equal(state.latents.data);
    await file.close();
  });

  it('is refused with one sentence where it is cut or a byte is another one', async () => {
    const whole = await readFile(path);
    const copy = join(folder, 'copy.safetensors');
    const header = 8 + Number(whole.readBigUInt64LE(0));
    const places = Array.from(whole.keys()).filter((i) => i < header || i % 211 === 0);
    const refuse = async (bytes: Uint8Array, what: string) => {
      await writeFile(copy, bytes);
      const error = await loadSamplingState(copy).catch((reason: unknown) => reason);
      expect(error, what).to.be.instanceOf(CheckpointError);
      expect((error as Error).message, what).to.equal(
        `${copy} is damaged, cut short or not the state of a call.`,
      );
    };
    for (const i of places) {
      await refuse(whole.subarray(0, i), `${i} bytes`);
      const flipped = Uint8Array.from(whole);
      flipped[i]! ^= 1 << (i % 8);
      // A tab for a space between two words of JSON says the same.
      if (whole[i] !== 0x20) await refuse(flipped, `byte ${i}`);
    }
  });

  it('says so where there is none, and where it cannot be written', async () => {
    const none = join(folder, 'none.safetensors');
    const missing = await loadSamplingState(none).catch((error: Error) => error.message);
    expect(missing).to.equal(`Cannot read ${none}: it does not exist.`);
    const place = join(folder, 'missing', 'state.safetensors');
    const error = await saveSamplingState(place, state).catch((reason: Error) => reason);
    expect(error).to.be.instanceOf(CheckpointError);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });
});
