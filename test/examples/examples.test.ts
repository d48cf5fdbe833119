/** The programs of examples/, each run in a process of its own as its first comment says. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import sharp from 'sharp';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs an example in the checkout's folder and gives what it prints. */
const example = (name: string, ...args: string[]) =>
  run(process.execPath, ['--import', 'tsx', `examples/${name}.ts`, ...args], { cwd: root });

describe('examples', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-examples-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('imageToVideo writes an MP4 and shows its progress', async () => {
    const video = join(folder, 'out.mp4');
    const { stderr } = await example('imageToVideo', 'examples/rocket.jpg', video);
    const bytes = await readFile(video);
    expect(bytes.subarray(4, 8).toString()).to.equal('ftyp');
    expect(stderr).to.match(/loading (\d+)\/\1\b/);
    for (const done of ['encoding 6/6', 'sampling 10/10', 'decoding 8/8']) expect(stderr).to.contain(done);
  });

  it('temporalDecoder writes an animation with a page per picture', async () => {
    const video = join(folder, 'out.gif');
    const pictures = ['rocket', 'coffee', 'chelsea'].map((name) => `examples/${name}.jpg`);
    await example('temporalDecoder', video, ...pictures);
    const { width, pageHeight, pages } = await sharp(video, { animated: true }).metadata();
    expect({ width, pageHeight, pages }).to.deep.equal({ width: 96, pageHeight: 64, pages: 3 });
  });

  it('singleLayer puts a layer with its weights into a model', async () => {
    const { stdout } = await example('singleLayer');
    expect(stdout).to.contain('features (ResnetBlock2D)');
    expect(stdout).to.contain('features of shape [2,32], weights norm1.weight,norm1.bias,conv1.weight');
  });
});
