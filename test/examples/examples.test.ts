/** The programs of examples/, each run in a process of its own as its first comment says. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import sharp from 'sharp';
import { writeSafetensors } from '../../src/checkpoints/index.ts';
import { inputValues } from '../harness/nameHash.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs an example in the checkout's folder and gives what it prints. */
const example = (name: string, ...args: string[]) =>
  run(process.execPath, ['--import', 'tsx', `examples/${name}.ts`, ...args], { cwd: root });

/** The programs, by name. */
const programs = readdirSync(`${root}examples`).filter((name) => name.endsWith('.ts'));

describe('examples', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-examples-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('are short and described in their README', async () => {
    const readme = await readFile(`${root}examples/README.md`, 'utf8');
    for (const name of programs) {
      expect((await readFile(`${root}examples/${name}`, 'utf8')).trimEnd().split('\n').length, name).to.be.below(60);
      expect(readme).to.contain(`examples/${name} `.trimEnd());
    }
  });

  it('imageToVideo writes an MP4 and shows its progress', async () => {
    const video = join(folder, 'out.mp4');
    const { stderr } = await example('imageToVideo', 'examples/rocket.jpg', video);
    const bytes = await readFile(video);
    expect(bytes.subarray(4, 8).toString()).to.equal('ftyp');
    expect(stderr).to.match(/loading (\d+)\/\1\b/);
    for (const done of ['encoding 6/6', 'sampling 10/10', 'decoding 8/8']) expect(stderr).to.contain(done);
  });

  it('streamingFrames writes frame after frame', async () => {
    const { stdout } = await example('streamingFrames', 'examples/rocket.jpg', join(folder, 'stream'));
    expect(stdout.trim().split('\n')).to.deep.equal([0, 1, 2, 3, 4, 5].map((i) => `frame ${i}: 96 x 64`));
    expect(await sharp(join(folder, 'stream/5/0000.png')).metadata()).to.include({ width: 96, height: 64 });
  });

  it('latentPreviews shows a frame after each step but the first', async () => {
    const { stdout } = await example('latentPreviews', 'examples/rocket.jpg', join(folder, 'previews'));
    expect(stdout.match(/^step \d/gm)).to.deep.equal(['step 1', 'step 2']);
    expect(stdout).to.contain('step 2: noise level 0.000');
    // After the last step, the clean latents are the latents: the preview is the middle frame of the video.
    const preview = await sharp(join(folder, 'previews/step-2/0000.png')).raw().toBuffer();
    expect(preview.length).to.equal(64 * 96 * 3);
    expect((await sharp(join(folder, 'previews/video.gif'), { animated: true }).metadata()).pages).to.equal(4);
  });

  it('ownSchedule takes its noise levels', async () => {
    const video = join(folder, 'schedule.webp');
    const { stdout } = await example('ownSchedule', 'examples/rocket.jpg', video, '2');
    expect(stdout).to.contain('noise levels 700, 0.0340, 0.00');
    expect((await sharp(video, { animated: true }).metadata()).pages).to.equal(4);
  });

  it('batchOfPictures writes a video for each picture', async () => {
    await example('batchOfPictures', folder, 'examples/rocket.jpg', 'examples/coffee.jpg');
    const [rocket, coffee] = await Promise.all(['rocket', 'coffee'].map((name) => readFile(join(folder, `${name}.webp`))));
    expect(rocket).not.to.deep.equal(coffee);
    expect((await sharp(coffee, { animated: true }).metadata()).pages).to.equal(4);
  });

  it('customVideoModel trains; that it learns is tested where the tensorflow backend is', async () => {
    const { stdout } = await example('customVideoModel', '2');
    expect(stdout).to.match(/loss 0\.\d+ -> 0\.\d+, accuracy [01]\.\d\d/);
    expect(stdout).to.contain('transformer_spatio_tempora');
  });

  it('temporalDecoder writes an animation with a page per picture', async () => {
    const video = join(folder, 'out.gif');
    const pictures = ['rocket', 'coffee', 'chelsea'].map((name) => `examples/${name}.jpg`);
    await example('temporalDecoder', video, ...pictures);
    const { width, pageHeight, pages } = await sharp(video, { animated: true }).metadata();
    expect({ width, pageHeight, pages }).to.deep.equal({ width: 96, pageHeight: 64, pages: 3 });
  });

  it('temporalDecoder takes the latents of another model', async () => {
    const [latents, video] = [join(folder, 'latents.safetensors'), join(folder, 'latents.gif')];
    const shape = [2, 4, 8, 12];
    await writeSafetensors(latents, { latents: { dtype: 'F32', shape, data: inputValues('latents', shape).data } });
    await example('temporalDecoder', video, latents);
    expect((await sharp(video, { animated: true }).metadata()).pages).to.equal(2);
  });

  it('motionBuckets puts pictures and their videos side by side', async () => {
    const gif = join(folder, 'buckets.gif');
    await example('motionBuckets', gif, 'examples/toy-car.png');
    expect(await sharp(gif, { animated: true }).metadata()).to.include({ width: 4 * 68 - 4, pageHeight: 64, pages: 8 });
  });

  it('singleLayer puts a layer with its weights into a model', async () => {
    const { stdout } = await example('singleLayer');
    expect(stdout).to.contain('features (ResnetBlock2D)');
    expect(stdout).to.match(/features of shape \[2,\d+\], weights norm1.weight,norm1.bias,conv1.weight/);
  });
});
