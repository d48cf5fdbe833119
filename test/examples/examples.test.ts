/**
 * Runs each program of examples/ in a process of its own, as its first comment says; but the server,
 * which has a test file of its own.
 */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import sharp from 'sharp';
import {
  camelCaseConfig,
  loadWeights,
  openModelFolder,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { AutoencoderKLTemporalDecoder } from '../../src/models/index.ts';
import { built } from '../harness/built.ts';
import { inputValues } from '../harness/nameHash.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs an example in the root of the repository and returns its output. */
const example = (name: string, ...args: string[]) =>
  run(process.execPath, ['--import', 'tsx', `examples/${name}.ts`, ...args], { cwd: root });

/** The RGB values of each page of an animation or picture. */
async function pagesOf(path: string): Promise<Uint8Array[]> {
  const { data, info } = await sharp(path, { animated: true })
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const size = info.width * (info.pageHeight ?? info.height) * info.channels;
  return Array.from({ length: data.length / size }, (_, i) =>
    data.subarray(i * size, (i + 1) * size),
  );
}

/** The correlation of two pictures: 1 for equal ones, about 0 for unrelated ones. */
function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const deviations = (x: ArrayLike<number>) => {
    const values = Array.from(x);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const [da, db] = [deviations(a), deviations(b)];
  return (
    da.reduce((sum, value, i) => sum + value * db[i]!, 0) / (Math.hypot(...da) * Math.hypot(...db))
  );
}

/** The largest difference between the values of two pictures. */
const difference = (a: Uint8Array, b: ArrayLike<number>) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

/** The mean difference between the values of two pictures. */
const meanDifference = (a: Uint8Array, b: ArrayLike<number>) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

/** The file names of the programs. */
const programs = readdirSync(`${root}examples`).filter((name) => name.endsWith('.ts'));

describe('examples @slow', () => {
  let folder: string;
  before(async () => {
    built('src/index.js'); // the programs import the package by its name
    folder = await mkdtemp(join(tmpdir(), 'svd-examples-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('are short and listed in their README', async () => {
    const readme = await readFile(`${root}examples/README.md`, 'utf8');
    for (const name of programs) {
      const lines = (await readFile(`${root}examples/${name}`, 'utf8')).trimEnd().split('\n');
      expect(lines.length, name).to.be.below(name === 'server.ts' ? 350 : 60);
      expect(readme).to.contain(`examples/${name} `.trimEnd());
    }
  });

  it('imageToVideo writes an MP4 and shows its progress', async () => {
    const video = join(folder, 'out.mp4');
    const { stderr } = await example('imageToVideo', 'examples/pictures/rocket.jpg', video);
    const bytes = await readFile(video);
    expect(bytes.subarray(4, 8).toString()).to.equal('ftyp');
    expect(stderr).to.match(/loading (\d+)\/\1\b/);
    for (const done of ['encoding 6/6', 'sampling 10/10', 'decoding 8/8'])
      expect(stderr).to.contain(done);
  });

  it('streamingFrames writes frame after frame', async () => {
    const { stdout } = await example(
      'streamingFrames',
      'examples/pictures/rocket.jpg',
      join(folder, 'stream'),
    );
    expect(stdout.trim().split('\n')).to.deep.equal([
      'Sampling a video of examples/pictures/rocket.jpg ...',
      ...[0, 1, 2, 3, 4, 5].map((i) => `frame ${i}: 96 x 64`),
    ]);
    expect(await sharp(join(folder, 'stream/5/0000.png')).metadata()).to.include({
      width: 96,
      height: 64,
    });
  });

  it('latentPreviews shows after each step how the video will be', async () => {
    const { stdout } = await example(
      'latentPreviews',
      'examples/pictures/rocket.jpg',
      join(folder, 'previews'),
    );
    expect(stdout.match(/step-\d\.gif: 12 x 8$/gm)).to.have.length(6);
    expect(stdout).to.match(/video\.gif: 96 x 64$/m);
    const pages = await Promise.all(
      ['step-0', 'step-1', 'step-4', 'step-5'].map((name) =>
        pagesOf(join(folder, 'previews', `${name}.gif`)),
      ),
    );
    const small = await sharp(join(folder, 'previews/video.gif'), { page: 2 })
      .resize(12, 8)
      .removeAlpha()
      .raw()
      .toBuffer();
    const likeness = pages.map((frames) => correlation(frames[2]!, small));
    expect(likeness[0]).to.be.below(likeness[3]!);
    expect(likeness[3]).to.be.above(0.85);
    expect(likeness[2]).to.be.above(likeness[0]!);
    expect(new Set(pages.map(String)).size).to.equal(4);
  });

  it('ownSchedule uses the levels of Align Your Steps, or another number of them', async () => {
    const [ten, two] = [join(folder, 'ten.webp'), join(folder, 'two.webp')];
    const { stdout } = await example('ownSchedule', 'examples/pictures/toy-car.png', ten);
    expect(stdout).to.contain(
      'noise levels 700, 54.5, 15.9, 7.98, 4.25, 1.79, 0.981, 0.403, 0.173, 0.0340, 0.00\n',
    );
    expect(
      (await example('ownSchedule', 'examples/pictures/toy-car.png', two, '2')).stdout,
    ).to.contain('noise levels 700, 0.0340, 0.00\n');
    const picture = await sharp(`${root}examples/pictures/toy-car.png`)
      .resize(96, 64)
      .removeAlpha()
      .raw()
      .toBuffer();
    const [tenFrames, twoFrames] = await Promise.all([ten, two].map(pagesOf));
    for (const frames of [tenFrames!, twoFrames!]) {
      expect(frames).to.have.lengthOf(4);
      // the video starts with the picture
      expect(correlation(frames[0]!, picture)).to.be.above(0.7);
    }
    expect(tenFrames).not.to.deep.equal(twoFrames);
  });

  it('batchOfPictures writes the frames of each picture, the same in any batch', async () => {
    const single = join(folder, 'single');
    await mkdir(single);
    await example(
      'batchOfPictures',
      folder,
      'examples/pictures/rocket.jpg',
      'examples/pictures/coffee.jpg',
    );
    await example('batchOfPictures', single, 'examples/pictures/rocket.jpg');
    const framesOf = async (path: string) => {
      const names = (await readdir(path)).sort();
      return (await Promise.all(names.map((name) => pagesOf(join(path, name))))).flat();
    };
    const paths = [join(folder, 'rocket'), join(folder, 'coffee'), join(single, 'rocket')];
    const [rocket, coffee, same] = await Promise.all(paths.map(framesOf));
    expect([rocket, coffee, same].map((frames) => frames!.length)).to.deep.equal([4, 4, 4]);
    for (const [i, frame] of rocket!.entries()) {
      // rounding changes a few values
      expect(meanDifference(frame, same![i]!), `frame ${i}`).to.be.below(0.01);
      expect(correlation(frame, coffee![i]!)).to.be.below(0.5);
    }
  });

  it('customVideoModel trains (a test on tensorflow checks that it learns)', async () => {
    const { stdout } = await example('customVideoModel', '2');
    expect(stdout).to.match(/loss 0\.\d+ -> 0\.\d+, accuracy [01]\.\d\d/);
    expect(stdout).to.contain('transformer_spatio_tempora');
  });

  it('temporalDecoder writes an animation with a page for each picture', async () => {
    const video = join(folder, 'out.gif');
    const pictures = ['rocket', 'coffee', 'chelsea'].map((name) => `examples/pictures/${name}.jpg`);
    await example('temporalDecoder', video, ...pictures);
    const { width, pageHeight, pages } = await sharp(video, { animated: true }).metadata();
    expect({ width, pageHeight, pages }).to.deep.equal({ width: 96, pageHeight: 64, pages: 3 });
  });

  it('temporalDecoder decodes the latents of another model', async () => {
    const [latents, video] = [join(folder, 'latents.safetensors'), join(folder, 'decoded')];
    const shape = [2, 4, 8, 12];
    const { data } = inputValues('latents', shape);
    await writeSafetensors(latents, { latents: { dtype: 'F32', shape, data } });
    await example('temporalDecoder', `${video}/`, latents);

    const model = await openModelFolder(`${root}weights/tiny`);
    const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(model.config('vae')));
    vae.build();
    await loadWeights(vae, await model.weights('vae'));
    await model.close();
    const z = tf.tidy(
      () =>
        tf.div(
          tf.transpose(tf.tensor(data, shape), [0, 2, 3, 1]),
          vae.config.scalingFactor,
        ) as tf.Tensor4D,
    );
    const decoded = await vae.decode(z, 2);
    const pixels = tf.tidy(() =>
      tf.round(tf.mul(tf.clipByValue(tf.add(tf.mul(decoded, 0.5), 0.5), 0, 1), 255)),
    );
    const frames = Buffer.concat(
      (await Promise.all([0, 1].map((i) => pagesOf(join(video, `000${i}.png`))))).flat(),
    );
    expect(frames).to.have.lengthOf(pixels.size);
    expect(difference(frames, await pixels.data())).to.be.at.most(1);
    tf.dispose([decoded, pixels]);
    z.dispose();
    vae.dispose();
  });

  it('motionBuckets puts each picture beside its videos', async () => {
    const gif = join(folder, 'buckets.gif');
    await example('motionBuckets', gif, 'examples/pictures/toy-car.png');
    expect(await sharp(gif, { animated: true }).metadata()).to.include({
      width: 4 * 68 - 4,
      pageHeight: 64,
      pages: 8,
    });
  });

  it('singleLayer puts a layer with its weights into a model', async () => {
    const { stdout } = await example('singleLayer');
    expect(stdout).to.contain('features (stable-video-diff');
    expect(stdout).to.match(
      /features of shape \[2,\d+\], weights norm1.weight,norm1.bias,conv1.weight/,
    );
  });
});
