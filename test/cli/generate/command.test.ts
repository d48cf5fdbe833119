/** What `svd generate` writes and refuses, run within this process. */
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { convertCheckpoint } from '../../../converters/index.ts';
import { identifyCheckpoint, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { asTexts } from '../../../src/cli/generate/storedSettings.ts';
import { Interrupted, UsageError } from '../../../src/cli/terminal/errors.ts';
import { ProgressLine } from '../../../src/cli/terminal/progress.ts';
import { version } from '../../../src/cli/version.ts';
import { readMetadata } from '../../../src/media/video/readMetadata.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { warningsOf } from '../../harness/warnings.ts';
import { testBackend } from '../../setup.ts';
import {
  generate,
  picture,
  readTensors,
  small,
  workFolder,
  writeSmallCheckpoint,
} from '../runs.ts';

describe('svd generate', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let model: string[];
  const rocket = picture('rocket.jpg');
  before(async () => {
    folder = await workFolder();
    model = ['--model', folder.path('model')];
    await writeSmallCheckpoint(folder.path('model'));
  });
  after(() => folder.remove());

  /** The error of a run that is to fail. */
  async function failure(args: string[]): Promise<Error> {
    try {
      await generate([...args, ...small]);
    } catch (error) {
      return error as Error;
    }
    throw new Error('The run has not failed.');
  }

  /** Names of what lies in the folder with `prefix`, temporary files included. */
  const filesOf = async (prefix: string) =>
    (await readdir(folder.path('.'))).filter((name) => name.includes(prefix)).sort();

  describe('output', () => {
    it('writes an MP4 with its settings in the comment', async () => {
      const path = folder.path('clip.mp4');
      const { output, settings, backend, timings, peakMemoryBytes } = await generate([
        rocket,
        ...model,
        '--output',
        path,
        '--seed',
        '5',
        ...small,
      ]);
      expect(output).to.deep.equal([path]);
      const text = (await readFile(path)).toString('latin1');
      expect(text.slice(4, 8)).to.equal('ftyp');
      expect(text)
        .to.contain('"seeds":"[5]"')
        .and.contain(`"version":"${version}"`)
        .and.contain(`"backend":"${testBackend}"`);
      expect(settings).to.include({
        height: 16,
        width: 24,
        numFrames: 2,
        decodeChunkSize: 2,
        version,
        backend: testBackend,
      });
      expect(settings).to.include({ quality: 80 });
      expect(settings.encoder).to.be.oneOf(['builtin', 'ffmpeg']); // as this machine has
      expect(settings.encoderVersion !== undefined).to.equal(settings.encoder === 'ffmpeg');
      expect(await readMetadata(path)).to.deep.equal(asTexts(settings));
      expect(settings.checkpoint).to.deep.equal(await identifyCheckpoint(folder.path('model')));
      expect(text).to.contain(`"hash\\":\\"${settings.checkpoint!.hash}`);
      expect(backend).to.include({ name: testBackend });
      expect(Object.keys(timings)).to.deep.equal([
        'loading',
        'encoding',
        'sampling',
        'decoding',
        'writing',
      ]);
      expect(peakMemoryBytes).to.be.above(1e7);
    });

    it('takes original files and TensorFlow.js artifacts as they are @slow', async () => {
      await convertCheckpoint(folder.path('model'), folder.path('original.safetensors'), {
        to: 'original',
      });
      await convertCheckpoint(folder.path('model'), folder.path('artifacts'), { to: 'tfjs' });
      const latents = async (...args: string[]) => {
        const out = folder.path('formats.safetensors');
        await generate([
          rocket,
          ...args,
          '--output',
          out,
          '--output-type',
          'latent',
          '--seed',
          '5',
          ...small,
        ]);
        const { tensors } = await readTensors(out);
        await rm(out);
        return tensors.latents.data;
      };
      const expected = await latents(...model);
      expect(
        await latents(
          '--model',
          folder.path('original.safetensors'),
          '--config',
          folder.path('model'),
        ),
      ).to.deep.equal(expected);
      expect(await latents('--model', folder.path('artifacts'))).to.deep.equal(expected);
    });

    it('numbers several videos', async () => {
      const two = ['--num-videos-per-prompt', '2', '--seed', '5', '--seed', '6'];
      const { output } = await generate([
        rocket,
        ...model,
        '--output',
        folder.path('many/'),
        ...two,
        ...small,
      ]);
      expect(output).to.deep.equal([folder.path('many-0/'), folder.path('many-1/')]);
      const pictures = await Promise.all(output.map((path) => readFile(`${path}0001.png`)));
      for (const path of output)
        expect(await readdir(path)).to.deep.equal(['0000.png', '0001.png']);
      const [first, second] = await Promise.all(
        pictures.map((file) => sharp(file).raw().toBuffer()),
      );
      expect(first).to.have.length(16 * 24 * 3);
      expect(first.equals(second)).to.equal(false);
    });

    it('draws a seed, tells it, and gives the same numbers when it is given', async () => {
      const { settings, notes } = await generate([
        rocket,
        ...model,
        '--output',
        folder.path('drawn.safetensors'),
        ...small,
      ]);
      const [seed] = settings.seeds;
      expect(notes).to.deep.equal([`the seed is ${seed}`]);
      const again = await generate([
        rocket,
        ...model,
        '--output',
        folder.path('again.safetensors'),
        '--seed',
        `${seed}`,
        ...small,
      ]);
      expect(again.notes).to.deep.equal([]);
      const [drawn, given] = [
        await readTensors(folder.path('drawn.safetensors')),
        await readTensors(folder.path('again.safetensors')),
      ];
      expect(JSON.parse(drawn.metadata.settings)).to.deep.equal(
        JSON.parse(JSON.stringify(settings)),
      );
      expect(given.tensors).to.deep.equal(drawn.tensors);
      expect(given.tensors.frames.shape).to.deep.equal([1, 2, 16, 24, 3]);
    });

    it('chunks feed-forward layers and decoding without changing the latents', async () => {
      const latents = async (name: string, ...more: string[]) => {
        await generate([
          rocket,
          ...model,
          '--output',
          folder.path(name),
          '--output-type',
          'latent',
          '--seed',
          '1',
          ...small,
          ...more,
        ]);
        return (await readTensors(folder.path(name))).tensors.latents.data;
      };
      const whole = await latents('whole.safetensors');
      const chunked = await latents(
        'chunked.safetensors',
        '--forward-chunking',
        '1',
        '--decode-chunk-size',
        '1',
      );
      expect(relativeL2(chunked, whole)).to.be.at.most(1e-5);
    });

    it('warns of sigmas that do not end at 0', async () => {
      const sigmas = ['--sigmas', '700,10', '--seed', '1', ...small.slice(0, 6)];
      const messages = await warningsOf(() =>
        generate([rocket, ...model, '--output', folder.path('sigmas.gif'), ...sigmas]),
      );
      expect(messages).to.have.length(2);
      expect(messages[0]).to.contain('is stretched');
      expect(messages[1]).to.contain('sigmas');
      const { pages, delay } = await sharp(folder.path('sigmas.gif'), { pages: -1 }).metadata();
      expect({ pages, delay }).to.deep.equal({ pages: 2, delay: [140, 150] });
    });
  });

  describe('bad input', () => {
    const out = () => ['--output', folder.path('bad.mp4')];
    afterEach(async () => expect(await filesOf('bad.')).to.deep.equal([]));

    it('refuses missing, broken and unreadable pictures', async () => {
      const broken = folder.path('broken.png');
      await writeFile(broken, 'no picture');
      expect((await failure(['missing.png', ...model, ...out()])).message).to.contain(
        'There is no picture "missing.png"',
      );
      expect((await failure([broken, ...model, ...out()])).message).to.contain(', not a picture');
      expect((await failure([folder.path('.'), ...model, ...out()])).message).to.contain(
        'is a folder, not a picture',
      );
    });

    it('refuses a model folder that is none', async () => {
      await mkdir(folder.path('empty'));
      expect(
        (await failure([rocket, '--model', folder.path('empty'), ...out()])).message,
      ).to.contain('model_index.json');
      expect(
        (await failure([rocket, '--model', folder.path('nowhere'), ...out()])).message,
      ).to.contain('nowhere');
      expect((await failure([rocket, ...model, '--variant', 'fp16', ...out()])).message).to.contain(
        'fp16',
      );
    });

    it('refuses what the sampler or the UNet of the model cannot do, before weights are loaded', async () => {
      const lcm = folder.path('lcm');
      await cp(folder.path('model'), lcm, { recursive: true });
      for (const file of ['model_index.json', 'scheduler/scheduler_config.json']) {
        const text = await readFile(`${lcm}/${file}`, 'utf8');
        const name = 'AnimateLCMSVDStochasticIterativeScheduler';
        await writeFile(`${lcm}/${file}`, text.replaceAll('EulerDiscreteScheduler', name));
      }
      const stages: string[] = [];
      const progress = new ProgressLine();
      progress.update = ({ stage }) => stages.push(stage);
      for (const [path, option, value, message] of [
        [
          lcm,
          '--fast',
          '',
          '--fast is for samplers that take 25 steps, but animatelcm needs 4 to 8',
        ],
        [lcm, '--steps', '41', '--num-inference-steps has to be at most 40 with --scheduler'],
        [lcm, '--sigmas', '7,0', '--sigmas is not for --scheduler animatelcm'],
        [folder.path('model'), '--deep-cache', '1:99', 'branch'],
      ] as const) {
        const words = [rocket, '--model', path, ...out(), option, value].filter(Boolean);
        const error = await generate(words, { progress }).catch((thrown) => thrown);
        expect(error.message, option).to.contain(message);
      }
      expect(stages).to.deep.equal([]);
    });

    it('refuses a model folder that is damaged or of another pipeline', async () => {
      const copy = (name: string) =>
        cp(folder.path('model'), folder.path(name), { recursive: true }).then(() =>
          folder.path(name),
        );
      const message = async (path: string) =>
        (await failure([rocket, '--model', path, ...out()])).message;
      const cut = await copy('cut');
      await truncate(`${cut}/unet/diffusion_pytorch_model.safetensors`, 100_000);
      expect(await message(cut)).to.contain('diffusion_pytorch_model.safetensors');
      const other = await copy('other');
      await writeFile(`${other}/model_index.json`, '{"_class_name": "StableDiffusionPipeline"}');
      expect(await message(other)).to.contain('StableDiffusionPipeline');
      const partial = await copy('partial');
      await rm(`${partial}/vae`, { recursive: true });
      expect(await message(partial)).to.contain('vae');
    });

    it('refuses an output that cannot be written, before the model is loaded', async () => {
      const progress = new ProgressLine();
      const run = generate(
        [rocket, ...model, '--output', folder.path('no/such/folder.mp4'), ...small],
        { progress },
      );
      const error = await run.catch((reason: Error) => reason);
      expect(error).to.be.an('error').with.property('message').that.contains('there is no folder');
      expect(progress.seconds()).to.deep.equal({});
      expect(
        (await failure([rocket, ...model, ...out(), '--dump', folder.path('no/dump.safetensors')]))
          .message,
      ).to.contain('there is no folder');
    });

    it('refuses seeds that are not as many as the videos', async () => {
      const error = await failure([
        rocket,
        ...model,
        ...out(),
        '--seed',
        '1',
        '--seed',
        '2',
        '--seed',
        '3',
      ]);
      expect(error).to.be.instanceOf(UsageError);
      expect(error.message).to.equal(
        '--seed is given 3 times for 1 video. Pass it once, or once per video.',
      );
    });

    it('refuses tensors of another name, shape or range', async () => {
      const file = async (name: string, tensor: string, shape: number[], value: number) => {
        const data = new Float32Array(shape.reduce((a, b) => a * b)).fill(value);
        await writeSafetensors(folder.path(name), { [tensor]: { dtype: 'F32', shape, data } });
        return folder.path(name);
      };
      const message = async (...args: string[]) =>
        (await failure([...args, ...model, ...out()])).message;
      const wrongName = await file('name.safetensors', 'pixels', [1, 3, 8, 8], 0);
      expect(await message(wrongName)).to.contain(
        'has to hold a tensor `image` [N,3,H,W] but holds pixels.',
      );
      expect(await message(await file('rank.safetensors', 'image', [3, 8, 8], 0))).to.contain(
        'has to be [N,3,H,W] but is [3,8,8].',
      );
      expect(await message(await file('grey.safetensors', 'image', [1, 1, 8, 8], 0))).to.contain(
        'but is [1,1,8,8].',
      );
      expect(await message(await file('bright.safetensors', 'image', [1, 3, 8, 8], 2))).to.contain(
        'have to be from 0 to 1.',
      );
      expect(
        await message(await file('nan.safetensors', 'image', [1, 3, 8, 8], Number.NaN)),
      ).to.contain('have to be from 0 to 1.');
      const latents = async (name: string, shape: number[], value: number) =>
        message(rocket, '--latents', await file(name, 'latents', shape, value));
      expect(await latents('flat.safetensors', [2, 4, 2, 3], 0)).to.contain(
        'has to be [B,F,4,h,w] but is [2,4,2,3].',
      );
      expect(await latents('size.safetensors', [1, 2, 4, 3, 3], 0)).to.contain(
        '`latents` has to be of shape [1,2,',
      );
      expect(
        await latents('infinite.safetensors', [1, 2, 4, 2, 3], Number.POSITIVE_INFINITY),
      ).to.contain('have to be finite.');
    });

    it('stops in the middle of sampling and leaves nothing', async () => {
      const controller = new AbortController();
      const progress = new ProgressLine();
      const update = progress.update.bind(progress);
      progress.update = (done) => {
        update(done);
        if (done.stage === 'sampling' && done.step === 1) controller.abort(new Interrupted());
      };
      const args = [
        rocket,
        ...model,
        ...out(),
        '--dump',
        folder.path('bad.safetensors'),
        ...small.slice(0, 6),
        '--num-inference-steps',
        '3',
      ];
      const error = await generate(args, { progress, signal: controller.signal }).catch(
        (reason: Error) => reason,
      );
      expect(error).to.be.instanceOf(Interrupted);
      expect(Object.keys(progress.seconds())).to.include('sampling').and.not.include('decoding');
    });
  });

  it('says that start noise is too large', async () => {
    const latents = folder.path('huge.safetensors');
    const data = new Float32Array(2 * 4 * 4 * 6).fill(3e38);
    await writeSafetensors(latents, { latents: { dtype: 'F32', shape: [1, 2, 4, 4, 6], data } });
    const error = await failure([
      rocket,
      ...model,
      '--output',
      folder.path('nan.mp4'),
      '--latents',
      latents,
    ]);
    expect(error.message).to.match(/^`latents` times the first noise level, .+, are not finite\./);
    expect(await filesOf(basename('nan.mp4'))).to.deep.equal([]);
  });
});
