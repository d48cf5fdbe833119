/** What the outputs of `svd generate` must not replace. */
import { cp, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { checkModelIsKept, checkPlaces } from '../../../src/cli/generate/checkPlaces.ts';
import { outputPaths } from '../../../src/cli/generate/defaultOutput.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';
import { ProgressLine } from '../../../src/cli/terminal/progress.ts';
import { exportToVideo } from '../../../src/media/video/exportVideo.ts';
import { generate, picture, small, writeSmallCheckpoint } from '../runs.ts';
import { readGenerateCommand } from './readCommand.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svd-places-'));
});
afterEach(() => rm(folder, { recursive: true }));

const path = (name: string) => join(folder, name);

/** The message of a check, or '' if it passes. */
async function problem(check: Promise<void>): Promise<string> {
  const error = await check.catch((reason: unknown) => reason);
  if (error === undefined) return '';
  expect(error).to.be.instanceOf(UsageError);
  return (error as Error).message;
}

function places(args: string[], videos = 1): Promise<string> {
  const command = readGenerateCommand(args);
  return problem(checkPlaces(command, outputPaths(command, videos)));
}

describe('checkPlaces', () => {
  it('refuses an output that is a picture, by whatever name', async () => {
    await writeFile(path('a.webp'), '');
    await symlink('a.webp', path('soft.webp'));
    await link(path('a.webp'), path('hard.webp'));
    await mkdir(path('below'));
    for (const name of ['a.webp', 'soft.webp', 'hard.webp', 'below/../a.webp']) {
      const output = `${folder}/${name}`;
      expect(await places([path('a.webp'), '--output', output])).to.equal(
        `--output "${output}" would replace an IMAGE, "${path('a.webp')}". Use another name.`,
      );
    }
    expect(
      await places(['b.png', pathToFileURL(path('a.webp')).href, '--output', path('soft.webp')]),
    ).to.contain('would replace an IMAGE');
    expect(await places([path('a.webp'), '--output', path('b.webp')])).to.equal('');
  });

  it('refuses any of several outputs, and a folder with the frame that is the picture', async () => {
    await writeFile(path('a-1.gif'), '');
    expect(await places([path('a-1.gif'), '--output', path('a.gif')], 2)).to.contain(
      `--output "${path('a-1.gif')}" would replace an IMAGE`,
    );
    const frame = { width: 2, height: 2, data: new Uint8Array(12) };
    await exportToVideo([frame, frame], path('frames/'));
    expect(await places([path('frames/0001.png'), '--output', path('frames/')])).to.contain(
      `would replace an IMAGE, "${path('frames/0001.png')}"`,
    );
    await symlink('frames/0001.png', path('last.png'));
    expect(await places([path('last.png'), '--output', path('frames/')])).to.contain(
      'would replace an IMAGE',
    );
  });

  it('refuses an output or a dump that is the start noise or a tensor picture', async () => {
    for (const name of ['noise', 'image']) await writeFile(path(`${name}.safetensors`), '');
    const image = path('image.safetensors');
    const noise = path('noise.safetensors');
    const args = [image, '--latents', noise];
    expect(await places([...args, '--output', noise])).to.contain(
      `--output "${noise}" would replace the file of --latents`,
    );
    const video = ['--output', path('a.mp4')];
    expect(await places([...args, ...video, '--dump', noise])).to.contain(
      `--dump "${noise}" would replace the file of --latents`,
    );
    expect(await places([...args, ...video, '--dump', image])).to.contain(
      `--dump "${image}" would replace an IMAGE`,
    );
  });

  it('refuses a dump that is the output, also where neither is there yet', async () => {
    await symlink('a.safetensors', path('soft.safetensors'));
    for (const dump of ['./a.safetensors', 'soft.safetensors', 'A.safetensors', 'a.SAFETENSORS']) {
      const args = ['--output', path('a.safetensors'), '--dump', `${folder}/${dump}`];
      expect(await places(['b.png', ...args])).to.equal(
        `--dump "${folder}/${dump}" would replace --output, "${path('a.safetensors')}". Use ` +
          'another name.',
      );
    }
    const args = ['--output', path('a.safetensors'), '--dump', path('b.safetensors')];
    expect(await places(['b.png', ...args])).to.equal('');
  });

  it('refuses several videos for one device', async () => {
    expect(await places(['a.png', '--output', '-'], 2)).to.equal(
      '--output "-" takes one video but there are 2. Use the name of a file.',
    );
  });
});

describe('svd generate', () => {
  it('replaces no file of its model, and no pictures of the user', async () => {
    await writeSmallCheckpoint(path('model'));
    const weights = path('model/unet/diffusion_pytorch_model.safetensors');
    await mkdir(path('mine'));
    await cp(picture('cat.png'), path('mine/0007.png'));
    for (const [output, reason] of [
      [weights, 'would replace a file of the model'],
      [path('mine/'), 'holds "0007.png", which is not a frame that this program has written'],
    ]) {
      const progress = new ProgressLine();
      const args = [picture('rocket.jpg'), '--model', path('model'), '--output', output, ...small];
      const error = await generate(args, { progress }).catch((refused: Error) => refused);
      expect(error).to.be.an('error').with.property('message').that.contains(reason);
      expect(progress.seconds()).to.deep.equal({});
    }
  });
});

describe('checkModelIsKept', () => {
  const kept = (output: string, ...models: string[]) => {
    const command = readGenerateCommand(['a.png', '--output', output]);
    return problem(checkModelIsKept(command, outputPaths(command, 1), models));
  };
  const weights = 'unet/diffusion_pytorch_model.fp16.safetensors';
  beforeEach(async () => {
    await mkdir(path('model/unet'), { recursive: true });
    await mkdir(path('blobs'));
    await writeFile(path('model/model_index.json'), '');
    await writeFile(path('blobs/abc'), '');
    await symlink('../../blobs/abc', path(`model/${weights}`));
  });

  it('refuses files of the model, read or not, and what they lead to', async () => {
    await symlink('blobs/abc', path('soft.safetensors'));
    await link(path('blobs/abc'), path('hard.safetensors'));
    for (const name of [`model/${weights}`, 'soft.safetensors', 'hard.safetensors'])
      expect(await kept(path(name), path('model'))).to.equal(
        `--output "${path(name)}" would replace a file of the model, ` +
          `"${path(`model/${weights}`)}". Use another name.`,
      );
  });

  it('refuses an original file, and the configs for it', async () => {
    await writeFile(path('svd.safetensors'), '');
    await symlink('svd.safetensors', path('soft.safetensors'));
    const models = [path('svd.safetensors'), path('model')];
    for (const name of ['soft.safetensors', `model/${weights}`])
      expect(await kept(path(name), ...models)).to.contain('would replace a file of the model');
  });

  it('lets outputs be in its folder', async () => {
    await writeFile(path('model/earlier.mp4'), '');
    for (const name of ['model/earlier.mp4', 'model/new.safetensors', 'model/frames/'])
      expect(await kept(path(name), path('model'))).to.equal('');
  });
});
