/**
 * `svd verify` where this package and diffusers differ, and this package is not at fault: on
 * references that `dump_reference.py` wrote from the checkpoint that comes with this package.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { type FloatArray, StableVideoDiffusionPipeline } from '../../src/index.ts';
import {
  type Reference,
  readReference,
  type VerifyOptions,
  verifyReference,
} from '../../src/verification/index.ts';
import { svd, workFolder } from '../cli/runs.ts';
import { testBackend } from '../setup.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const fixture = (name: string) => path(`test/fixtures/verify/${name}.safetensors`);

describe('svd verify', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
  });
  after(() => folder.remove());

  /** Writes a reference with its tensors changed. */
  async function changed(
    name: string,
    change: (tensors: Record<string, TensorToWrite>) => Record<string, TensorToWrite>,
  ): Promise<string> {
    const file = await openSafetensors(fixture(name));
    const tensors: Record<string, TensorToWrite> = {};
    for (const name of file.names()) {
      const { shape } = file.info(name);
      tensors[name] = name.startsWith('input.')
        ? { dtype: 'U8', data: await file.readRaw(name), shape }
        : { dtype: 'F32', data: (await file.read(name)) as Float32Array, shape };
    }
    await file.close();
    const output = folder.path(`${name}.safetensors`);
    await writeSafetensors(output, change(tensors), file.metadata);
    return output;
  }

  /** The exit code, the verdict on a stage, and what is said of float64. */
  async function verdict(stage: string, reference: string, ...rest: string[]) {
    const args = ['--model', path('weights/tiny'), '--backend', testBackend, ...rest];
    const { code, stdout } = await svd(
      ...['verify', ...args, '--reference', reference, '--quiet', '--blocks'],
    );
    const [, table] = stdout.split('\n\n');
    const line = table.split('\n').find((line) => line.startsWith(`${stage} `))!;
    const note = /^(\S+) is (\S+) from float64 here, (\S+) in\s+diffusers[^.]*\./m.exec(
      stdout,
    )?.[0];
    const verdict = /(within|ABOVE) \S+/.exec(line)?.[0];
    return { code, verdict, note: note?.replaceAll('\n', ' ') };
  }

  it('decodes in the chunks of diffusers, which may have frames of two videos @slow', async () => {
    for (const inputs of ['own', 'reference'])
      expect(
        await verdict('frames', fixture('two-videos'), '--stage-inputs', inputs),
      ).to.deep.equal({ code: 0, verdict: 'within 1e-4', note: undefined });
  });

  it('replays the scheduler of the reference, with the noise that it draws @slow', async () => {
    for (const inputs of ['own', 'reference'])
      expect(
        await verdict('latents_step_2', fixture('dpmpp-2m-sde'), '--stage-inputs', inputs),
      ).to.deep.equal({ code: 0, verdict: 'within 1e-4', note: undefined });
    const args = ['--model', path('weights/tiny'), '--backend', testBackend];
    const { stderr } = await svd('verify', ...args, '--reference', fixture('dpmpp-2m-sde'));
    expect(stderr).to.contain(
      'note: the reference was made with the EDMDPMSolverMultistepScheduler, and so is the replay',
    );
  });

  it('does not blame a block for what comes before it @slow', async () => {
    const file = await openSafetensors(fixture('shipped-model'));
    const original = await readReference(file, 'reference');
    const [block, before] = ['block.vae.decoder.conv_in', 'latents_step_2'];
    const { data, shape } = await original.read(before);
    const moved = { data: Float32Array.from(data, (value) => value * (1 + 8e-5)), shape };
    let afterMoved: FloatArray | undefined;
    const reference: Reference = {
      ...original,
      names: original.names.filter((name) => !name.startsWith('block.') || name === block),
      read: async (name) =>
        (name === before && moved) || (name === block && afterMoved) || original.read(name),
    };
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'));
    const resultOf = async (options: VerifyOptions = {}) =>
      (await verifyReference(pipe, reference, options)).find(({ stage }) => stage === block);
    await resultOf({
      stageInputs: 'reference',
      onCompared: (stage, actual) => {
        if (stage === block) afterMoved = actual;
      },
    });
    expect(await resultOf()).to.include({ within: true, onReferenceInputs: true });
    afterMoved = { ...afterMoved!, data: afterMoved!.data.map((value) => -value) };
    const broken = await resultOf();
    expect(broken).to.include({ within: false }).and.not.have.property('onReferenceInputs');
    pipe.dispose();
    await file.close();
  });

  describe('of a dark picture, whose latents diffusers computes less exactly', () => {
    const stage = 'image_latents';

    it('finds for float64, and goes on with the latents of diffusers @slow', async () => {
      const { code, verdict: found, note } = await verdict(stage, fixture('dark-picture'));
      expect([code, found]).to.deep.equal([0, 'within 3e-5']);
      expect(note).to.match(
        /^image_latents is \d\.\de-[5-7] from float64 here, \d\.\de-[2-5] in diffusers: the difference is that of diffusers\.$/,
      );
    });

    it('finds against what is far from float64, too @slow', async () => {
      const reference = await changed('dark-picture', (tensors) => {
        const { data, ...tensor } = tensors[`float64.${stage}`];
        const off = (data as Float32Array).map((value) => value * 1.1);
        return { ...tensors, [`float64.${stage}`]: { ...tensor, data: off } };
      });
      const { code, verdict: found, note } = await verdict(stage, reference);
      expect([code, found]).to.deep.equal([1, 'ABOVE 3e-5']);
      expect(note).to.match(/^image_latents is \S+ from float64 here, \S+ in diffusers\.$/);
    });

    it('finds for diffusers where the reference has no float64', async () => {
      const reference = await changed(
        'dark-picture',
        ({ [`float64.${stage}`]: _, ...rest }) => rest,
      );
      const { code, verdict: found, note } = await verdict(stage, reference);
      expect([code, found, note]).to.deep.equal([1, 'ABOVE 3e-5', undefined]);
    });
  });
});
