import { cp, readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { identifyCheckpoint, writeSafetensors } from '../../src/checkpoints/index.ts';
import { ownSize } from '../../src/cli/packagedModel.ts';
import { devices } from '../../src/memory/shapes/allocators.ts';
import type { ModelDescription } from '../../src/pipelines/loading/describeModel.ts';
import { small, svd, workFolder, writeSmallCheckpoint, writeSmallLora } from './runs.ts';

describe('svd info', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let model: string;

  before(async () => {
    folder = await workFolder();
    model = folder.path('model');
    await writeSmallCheckpoint(model);
  });
  after(() => folder.remove());

  it('counts LoRA, and refuses those of other models', async () => {
    const lora = folder.path('a.safetensors');
    await writeSmallLora(lora, 1);
    const describe = async (...args: string[]): Promise<ModelDescription> =>
      JSON.parse(
        (await svd('info', '--model', model, '--json', ...small.slice(0, -2), ...args)).stdout,
      );
    const [plain, adapted] = [await describe(), await describe('--lora', `${lora}=2`)];
    expect(Object.values(adapted.call.loraRanks!)).to.deep.equal([1]);
    const bytesOf = ({ plans }: ModelDescription) =>
      plans.map(({ processBytes, deviceBytes }) => deviceBytes ?? processBytes);
    for (const [i, bytes] of bytesOf(adapted).entries())
      expect(bytes).to.be.above(bytesOf(plain)[i]!);
    const { files, hash } = await identifyCheckpoint(model, { loras: [lora] });
    expect(adapted.checkpoint).to.deep.include({ files, hash });
    await writeSafetensors(lora, {
      'a.lora_A.weight': { dtype: 'F32', shape: [1], data: Float32Array.of(1) },
    });
    const refused = await svd('info', '--model', model, '--lora', lora);
    expect(refused).to.include({ code: 1, stdout: '' });
  });

  it('tells what a checkpoint is made of and what memory it needs on each backend', async () => {
    const { code, stdout, stderr } = await svd(
      'info',
      '--model',
      model,
      '--height',
      '64',
      '--width',
      '96',
      '--num-frames',
      '3',
    );
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(stdout).to.match(
      /^model, in the format diffusers: Stable Video Diffusion in a size of its own\.\n\nModels:\n/,
    );
    expect(stdout).to.match(
      /\n {2}unet +[\d,]+ parameters, +[\d.]+ MiB of F32\n {2}vae +.*\n {2}image_encoder +.*\n\nSHA-256:\n/,
    );
    const { files, hash } = await identifyCheckpoint(model);
    for (const [file, sha256] of Object.entries(files))
      expect(stdout).to.contain(`\n  ${sha256}  ${file}\n`);
    expect(stdout).to.contain(`\n  ${hash}  all of these\n`);
    expect(stdout).to.contain('Memory for 3 frames of 96x64, with guidance:');
    expect(stdout.replaceAll(/\s+/g, ' ')).to.match(
      /\+ wasm [^+]+; about \d+ seconds? for 25 steps/,
    );
    for (const name of ['tensorflow, processor', 'wasm', 'cpu']) {
      expect(stdout).to.match(
        new RegExp(
          `^\\+ ${name} +\\d+ MiB( of WebAssembly, \\d+ MiB of the process)?(; .*)?$`,
          'm',
        ),
      );
    }
    expect(stdout, 'no card is known').to.match(/^\? tensorflow, CUDA +[\d.]+ GiB of the card/m);
    const lines = stdout.split('\n').filter((line) => !/^ {2}[0-9a-f]{64} {2}/.test(line));
    expect(Math.max(...lines.map((line) => line.length))).to.be.at.most(80);
  });

  it("plans for the model's own size @slow", async () => {
    const { stdout } = await svd('info', '--model', 'weights/tiny', '--memory', '1');
    expect(stdout).to.contain('Memory for 8 frames of 64x64, with guidance:');
    expect(ownSize({ side: 768 })).to.deep.equal({ height: 576, width: 1024 });
  });

  it('tells the sampler, and how long --fast takes', async () => {
    const { stdout } = await svd('info', '--model', 'weights/tiny');
    expect(stdout).to.contain('\nSampler: EulerDiscreteScheduler (--scheduler euler)\n');
    expect(stdout.replaceAll(/\s+/g, ' ')).to.match(
      /\+ wasm [^+]+; about \d+ seconds? for 25 steps, about \d+ seconds? with --fast/,
    );
    const json = await svd('info', '--model', 'weights/tiny', '--json');
    const { scheduler, plans } = JSON.parse(json.stdout);
    expect(scheduler).to.equal('EulerDiscreteScheduler');
    const { seconds, secondsFast } = plans.find(
      (plan: { device: string }) => plan.device === 'wasm',
    );
    expect(secondsFast / seconds).to.be.within(0.15, 0.5);
  });

  it('prints one line of JSON', async () => {
    const args = [
      '--max-guidance-scale',
      '1',
      '--decode-chunk-size',
      '1',
      '--offload',
      'model',
      '--memory',
      '2',
      '--json',
    ];
    const { code, stdout } = await svd(
      'info',
      '--model',
      model,
      '--height',
      '64',
      '--width',
      '96',
      ...args,
    );
    expect([code, stdout.trim().split('\n').length]).to.deep.equal([0, 1]);
    const described = JSON.parse(stdout) as ModelDescription & { model: string };
    expect(described.model).to.equal(model);
    expect(described.call).to.deep.equal({
      ...{
        height: 64,
        width: 96,
        numFrames: 2,
        pictures: 1,
        videos: 1,
        guided: false,
        decoded: true,
      },
    });
    expect(described).to.deep.include({
      format: 'diffusers',
      problems: [],
      checkpoint: await identifyCheckpoint(model),
    });
    const { parameters, bytes, dtypes } = described.models.unet;
    expect({ bytes, dtypes }).to.deep.equal({ bytes: 4 * parameters, dtypes: ['F32'] });
    expect(described.plans.map(({ device }) => device)).to.deep.equal([...devices]);
    const [plan] = described.plans;
    expect(plan).to.deep.include({ fits: true, offload: 'model', availableBytes: 2 ** 31 });
    expect(plan.settings).to.deep.include({ decodeChunkSize: 1, guidanceTogether: false });
    expect(plan.stages.map(({ model }) => model)).to.deep.equal([
      'imageEncoder',
      'vae',
      'unet',
      'vae',
    ]);
    expect(plan.processBytes).to.equal(
      Math.max(...plan.stages.map(({ processBytes }) => processBytes)),
    );
  });

  it('tells of original files and of artifacts as they are stored @slow', async () => {
    await convertCheckpoint(model, folder.path('small.safetensors'), { to: 'original' });
    await convertCheckpoint(model, folder.path('quantised'), { to: 'tfjs', quantize: 'uint8' });
    const size = ['--height', '64', '--width', '96', '--json'];
    const original = await svd(
      'info',
      '--model',
      folder.path('small.safetensors'),
      '--config',
      model,
      ...size,
    );
    const quantised = await svd('info', '--model', folder.path('quantised'), ...size);
    expect([original.stderr, quantised.stderr]).to.deep.equal(['', '']);
    const [one, other] = [original, quantised].map(
      ({ stdout }) => JSON.parse(stdout) as ModelDescription,
    );
    expect([one.format, other.format]).to.deep.equal(['original', 'tfjs']);
    const { parameters } = one.models.unet;
    expect(one.models.unet).to.deep.equal({ parameters, bytes: 4 * parameters, dtypes: ['F32'] });
    expect(other.models.unet.dtypes).to.have.members(['F32', 'uint8']); // vectors stay as they are
    expect(other.models.unet.bytes).to.be.within(parameters, 1.05 * parameters);
  });

  it('lists what is wrong with weights, with exit code 1', async () => {
    const broken = folder.path('broken');
    await cp(model, broken, { recursive: true });
    const config = JSON.parse(await readFile(`${broken}/unet/config.json`, 'utf8'));
    const ids = { addition_time_embed_dim: 10, projection_class_embeddings_input_dim: 30 };
    await writeFile(`${broken}/unet/config.json`, JSON.stringify({ ...config, ...ids }));
    const { code, stdout } = await svd('info', '--model', broken);
    expect(code).to.equal(1);
    expect(stdout.replace(/\s+/g, ' ')).to.match(
      / Problems: The weights don't fit "unet": \d+ of another shape \(/,
    );
  });

  it('says why a video does not fit and what would @slow', async () => {
    const { code, stdout } = await svd(
      'info',
      '--model',
      model,
      '--num-frames',
      '40',
      ...['--height', '576', '--width', '1024'],
      '--memory',
      '0.8',
    );
    expect(code).to.equal(0);
    expect(stdout.replace(/\s+/g, ' ')).to.match(
      /- tensorflow, processor does not fit\. 40 frames of 1024x576 do not fit into memory: \w+ needs [\d.]+ GiB and there are 820 MiB\. .*\d+x\d+ would fit\./,
    );
  });

  it('refuses wrong usage with exit code 2', async () => {
    const cases: [args: string[], message: string][] = [
      [[], 'error: --model DIR is required: the folder of the checkpoint. See svd info --help.\n'],
      [['here'], 'error: svd info takes only options but is given "here". Use --model here.\n'],
      [
        ['--model', model, '--width', '100'],
        'error: --width has to be a whole number from 8 to 8192 and divisible by 8 but is ' +
          '"100". Try 96.\n',
      ],
      [
        ['--model', model, '--offload', 'disk'],
        'error: --offload has to be one of none, model, sequential but is "disk".\n',
      ],
      [
        ['--model', model, '--memory', '0'],
        'error: --memory has to be a number of 0.1 or more, in GiB, but is "0".\n',
      ],
      [['--model', model, '--output', 'a.mp4'], 'error: there is no option --output.\n'],
    ];
    const results = await Promise.all(cases.map(([args]) => svd('info', ...args)));
    for (const [i, result] of results.entries())
      expect(result).to.deep.equal({ code: 2, stdout: '', stderr: cases[i][1] });
  });

  it('says what is wrong with a checkpoint', async () => {
    const missing = await svd('info', '--model', folder.path('nothing'));
    expect(missing.code).to.equal(1);
    expect(missing.stderr).to.match(/^error: Cannot open the folder .*nothing/);
    const index = await readFile(folder.path('model/model_index.json'), 'utf8');
    await writeFile(folder.path('model/model_index.json'), '{');
    const broken = await svd('info', '--model', model);
    await writeFile(folder.path('model/model_index.json'), index);
    expect(broken.code).to.equal(1);
    expect(broken.stderr).to.match(/^error: .*model_index\.json/);
    expect(broken.stderr.trim().split('\n')).to.have.lengthOf(1);
  });
});
