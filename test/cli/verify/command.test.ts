/** `svd verify` on a reference made of what diffusers computed for the fixtures of pipelines. */
import { cp } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  identifyCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoints/index.ts';
import { ProgressLine } from '../../../src/cli/terminal/progress.ts';
import { verifyBackends } from '../../../src/cli/verify/backends.ts';
import type { VerifyCommand } from '../../../src/cli/verify/options.ts';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { channelsFirst } from '../../../src/pipelines/sampling/axes.ts';
import { tensorsIn } from '../../checkpoints/files.ts';
import { imageOf, optionsOf } from '../../harness/calls.ts';
import { type Fixture, readFixture } from '../../harness/fixtures.ts';
import { pipelineByName } from '../../harness/pipelines.ts';
import { recordOutputs } from '../../harness/stages.ts';
import { testBackend } from '../../setup.ts';
import { writeCheckpoint } from '../checkpoint.ts';
import { componentsOf, picture, svd, workFolder } from '../runs.ts';

const CASE = 'default-guidance';

/**
 * Outputs of a few blocks in the first step, in diffusers' axis order, as this package computes
 * them.
 */
async function blocksOf(fixture: Fixture): Promise<Record<string, TensorToWrite>> {
  const pipe = await pipelineByName(await componentsOf(CASE));
  const outputs = recordOutputs(pipe.unet);
  const blocks: Record<string, TensorToWrite> = {};
  const callbackOnStepEnd = async (_: unknown, step: number) => {
    for (const path of step === 0
      ? ['conv_in', 'down_blocks.0.resnets.0', 'mid_block.attentions.0', 'conv_out']
      : []) {
      blocks[`block.unet.${path}`] = { dtype: 'F32', ...(await channelsFirst(outputs.get(path)!)) };
    }
    return undefined;
  };
  const options = {
    ...optionsOf(fixture),
    guidanceTogether: true,
    onBlock: () => {},
    callbackOnStepEnd,
  };
  await pipe.generate(await imageOf(fixture), { ...options, outputType: 'array' });
  tf.dispose([...outputs.values()]);
  pipe.dispose();
  return blocks;
}

describe('svd verify', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let model: string;
  let tensors: Record<string, TensorToWrite>;
  let metadata: Record<string, string>;

  before(async () => {
    folder = await workFolder();
    model = folder.path('model');
    await writeCheckpoint(model, await componentsOf(CASE));
    const fixture = await readFixture('pipelines', `${CASE}.safetensors`);
    const { latents: _, ...stages } = fixture.tensors;
    const args = JSON.parse(fixture.metadata.args);
    const { width, height, data } = await loadImage(picture(args.images[0]));
    tensors = {
      ...Object.fromEntries(
        Object.entries(stages).map(([name, { data, shape }]) => [
          name,
          { dtype: 'F32' as const, data, shape },
        ]),
      ),
      ...(await blocksOf(fixture)),
      'input.image.0': { dtype: 'U8', data, shape: [height, width, 3] },
    };
    const defaults = {
      sigmas: null,
      min_guidance_scale: 1,
      max_guidance_scale: 3,
      fps: 7,
      motion_bucket_id: 127,
    };
    const rest = {
      noise_aug_strength: 0.02,
      decode_chunk_size: args.num_frames,
      num_videos_per_prompt: 1,
    };
    const checkpoint = {
      id: 'model',
      variant: null,
      files: (await identifyCheckpoint(model)).files,
    };
    metadata = {
      args: JSON.stringify({ ...defaults, ...rest, ...args }),
      checkpoint: JSON.stringify(checkpoint),
      blocks: '0',
    };
  });
  after(() => folder.remove());

  /** Writes a reference with some tensors and metadata replaced, and gives its path. */
  async function reference(
    name: string,
    changed: Record<string, TensorToWrite> = {},
    meta: Record<string, string> = {},
  ) {
    const path = folder.path(`${name}.safetensors`);
    await writeSafetensors(path, { ...tensors, ...changed }, { ...metadata, ...meta });
    return path;
  }

  /** The tensor of a name, a thousandth off. */
  function moved(name: string): Record<string, TensorToWrite> {
    const tensor = tensors[name]!;
    return {
      [name]: {
        ...tensor,
        data: Float32Array.from(tensor.data as Float32Array, (value) => value * 1.001),
      },
    };
  }

  async function verify(path: string, command: Partial<VerifyCommand> = {}) {
    const quiet = {
      signal: new AbortController().signal,
      progress: new ProgressLine(),
      note: () => {},
    };
    const given: VerifyCommand = {
      ...{
        model,
        reference: path,
        lora: [],
        backend: testBackend as VerifyCommand['backend'],
        stageInputs: 'own',
        formulation: 'fastest',
      },
      ...{ blocks: false, markdown: false, json: false, quiet: true },
      ...command,
    };
    const {
      results: [result],
    } = await verifyBackends(given, quiet);
    return {
      ...result!,
      broken: result!.stages!.filter(({ within }) => !within).map(({ stage }) => stage),
    };
  }

  it(
    'finds every stage and block within tolerance, in the order of the computation, and leaves ' +
      'no tensor',
    async () => {
      const path = await reference('good');
      for (const stageInputs of ['own', 'reference'] as const) {
        const before = tf.memory().numTensors;
        const { within, stages, firstBroken } = await verify(path, { stageInputs });
        expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
        expect([within, firstBroken]).to.deep.equal([true, undefined]);
        const names = stages!.map(({ stage }) => stage);
        expect([...names].sort()).to.deep.equal(
          Object.keys(tensors)
            .filter((name) => !name.startsWith('input.'))
            .sort(),
        );
        expect(names.indexOf('block.unet.conv_in')).to.be.greaterThan(
          names.indexOf('initial_latents'),
        );
        expect(names.indexOf('block.unet.conv_out')).to.equal(names.indexOf('latents_step_0') - 1);
        expect(stages!.at(-1)!.stage).to.equal('frames');
      }
    },
  );

  it('takes a reference for the UNet that it was made with, whatever name it has', async () => {
    const own = 'unet/diffusion_pytorch_model.safetensors';
    const [unet, other] = [folder.path('lcm.safetensors'), folder.path('other.safetensors')];
    await cp(`${model}/${own}`, unet);
    const path = await reference('unet');
    expect((await verify(path, { unet })).within).to.equal(true);
    const { files } = await identifyCheckpoint(model, { unet });
    const made = await reference(
      'with-unet',
      {},
      {
        checkpoint: JSON.stringify({ id: 'model', variant: null, files }),
      },
    );
    expect((await verify(made)).within, "the checkpoint's own has the same bytes").to.equal(true);
    await writeSafetensors(other, await tensorsIn(unet), { made: 'later' });
    const error = await verify(path, { unet: other }).catch((error: Error) => error);
    expect(error)
      .to.have.property('message')
      .that.contains(`another checkpoint, model: ${own} differs`);
  });

  it("sees the VAE's blocks, also those that it runs in parts", async () => {
    const paths = [
      'encoder.mid_block.resnets.0',
      'decoder.mid_block.resnets.0',
      'decoder.up_blocks.0.resnets.1',
      'decoder.conv_out',
    ];
    const one: TensorToWrite = { dtype: 'F32', data: new Float32Array(1), shape: [1] };
    const blocks = Object.fromEntries(paths.map((path) => [`block.vae.${path}`, one]));
    for (const stageInputs of ['own', 'reference'] as const) {
      const before = tf.memory().numTensors;
      const { stages } = await verify(await reference('vae', blocks), { stageInputs });
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
      const seen = stages!.filter(({ stage }) => stage.startsWith('block.vae.'));
      expect(seen.map(({ stage }) => stage)).to.have.members(Object.keys(blocks));
      for (const { problem } of seen)
        expect(problem).to.match(/^has the shape \[\d+,\d+,\d+,\d+\] instead of \[1\]$/);
    }
  });

  it(
    'marks the first stage that breaks; fed with the reference, only those that are off ' +
      'themselves',
    async () => {
      const path = await reference('moved', {
        ...moved('image_latents'),
        ...moved('block.unet.mid_block.attentions.0'),
      });
      const own = await verify(path);
      expect(own.firstBroken).to.equal('image_latents');
      expect(own.broken).to.deep.equal(['image_latents', 'block.unet.mid_block.attentions.0']);
      // What is off in the reference is off in what the next stages are fed with.
      const fed = await verify(path, { stageInputs: 'reference' });
      expect(fed.firstBroken).to.equal('image_latents');
      expect(fed.broken).to.include('block.unet.conv_in').and.not.include('frames');
    },
  );

  it('takes no option that diffusers lacks, but repeats a reference made with one @slow', async () => {
    for (const option of ['--deep-cache=2', '--guidance-interval=0,50']) {
      const { code, stderr } = await svd('verify', '--model', model, '--reference', 'a', option);
      expect(code).to.equal(2);
      expect(stderr).to.equal(
        `error: there is no option ${option.split('=')[0]}. It changes the result, and a ` +
          'reference is a call of diffusers, which has no such option.\n',
      );
    }
    const made = (changes: object) =>
      reference(
        'changed',
        {},
        { args: JSON.stringify({ ...JSON.parse(metadata.args!), ...changes }) },
      );
    expect((await verify(await made({ guidance_interval: [0, 1000] }))).within).to.equal(true);
    for (const changes of [
      { guidance_interval: [0, 1] },
      { deep_cache: { interval: 2, branch: 0 } },
    ])
      expect((await verify(await made(changes))).broken).to.include('latents_step_1');
  });

  it('exits with 1 above tolerance and 0 within it, as a table and as one line of JSON', async () => {
    const broken = await reference('broken', moved('latents_step_1'));
    const args = ['verify', '--model', model, '--backend', testBackend];
    const table = await svd(...args, '--reference', broken);
    expect(table.code).to.equal(1);
    expect(table.stdout).to.match(/^step 1 +\S+e-\d+ within 1e-4 +\d\.\de[+-]\d+ \S+$/m);
    expect(table.stdout).to.match(/^step 2 +\S+e-\d+ ABOVE 1e-4$/m);
    expect(table.stdout).to.match(/^frames +(all|\d+\.\d{3} % of the) 8-bit values equal/m);
    expect(table.stdout).to.match(
      /^latents_step_1 +\S+e-\d+ ABOVE 1e-4 +\S+e-\d+ +[01]\.\d{6}\n1 of \d+ above tolerance, first latents_step_1\.$/m,
    );
    const good = await svd(...args, '--reference', await reference('good'), '--json');
    expect(good.code).to.equal(0);
    const { within, results } = JSON.parse(good.stdout);
    expect([within, results.length, results[0].backend]).to.deep.equal([true, 1, testBackend]);
    expect(results[0].stages.at(-1).comparison).to.have.all.keys(
      ...['shape', 'maxAbs', 'relativeL2', 'cosine', 'equalBytes', 'largestByteDifference'],
    );
  });

  it('tells a stage that is never computed', async () => {
    const { within, stages } = await verify(
      await reference('more', { 'block.unet.no.such': tensors.added_time_ids! }),
    );
    expect(within).to.equal(false);
    expect(stages!.at(-1)).to.include({ stage: 'block.unet.no.such', problem: 'never computed' });
  });

  it('refuses the reference of another checkpoint, of other shapes, and what is none', async () => {
    const failure = async (path: string) =>
      verify(path).then(
        () => 'none',
        (error: Error) => error.message,
      );
    const files = {
      ...JSON.parse(metadata.checkpoint!).files,
      'unet/diffusion_pytorch_model.safetensors': '0',
    };
    const other = await reference(
      'other',
      {},
      { checkpoint: JSON.stringify({ id: 'svd-xt', variant: null, files }) },
    );
    expect(await failure(other)).to.equal(
      'The reference was made from another checkpoint, svd-xt: ' +
        'unet/diffusion_pytorch_model.safetensors differs. Make one from this checkpoint.',
    );
    const longer = JSON.stringify({ ...JSON.parse(metadata.args!), num_frames: 5 });
    expect(await failure(await reference('longer', {}, { args: longer }))).to.match(
      /initial_latents has the shape \[1,3,4,6,8\] but its arguments mean \[1,5,\?,\?,\?\]\. Make the reference again\.$/,
    );
    const none = await reference('none', {}, { args: 'null' });
    expect(await failure(none)).to.equal(
      `${none} is not a reference. \`svd reference\` writes one.`,
    );
    expect(await failure(folder.path('missing.safetensors'))).to.contain('missing.safetensors');
    const usage = await svd('verify', '--model', model);
    expect([usage.code, usage.stderr]).to.deep.equal([
      2,
      'error: --reference FILE is required: the file that svd reference wrote. See svd ' +
        'verify --help.\n',
    ]);
  });
});
