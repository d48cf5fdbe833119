import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { type Output, writeOutputs } from '../../../src/cli/generate/outputs.ts';
import {
  asTexts,
  diffusersArguments,
  type KnownByRun,
  storedSettings,
} from '../../../src/cli/generate/storedSettings.ts';
import { Interrupted } from '../../../src/cli/terminal/errors.ts';
import { readMetadata } from '../../../src/media/video/readMetadata.ts';
import { readGenerateCommand } from './readCommand.ts';

const command = readGenerateCommand([
  'a.png',
  '--model',
  'svd',
  '--output',
  'out.gif',
  '--json',
  '--sigmas',
  '700,0',
]);
const checkpoint = { id: 'svd', files: { 'model_index.json': 'a1' }, hash: 'b2' };
const size = { height: 576, width: 1024, numFrames: 14, decodeChunkSize: 14 };
const known: KnownByRun = {
  ...size,
  seeds: [3],
  backend: 'wasm',
  dtype: 'float32',
  checkpoint,
  offload: 'none',
};
const settings = storedSettings(command, known);
const frame = { width: 8, height: 8, data: new Uint8Array(192) };
const never = new AbortController().signal;

describe('settings', () => {
  it('hold what was asked for and what the run has shown', () => {
    expect(settings).to.include({
      numFrames: 14,
      decodeChunkSize: 14,
      backend: 'wasm',
      height: 576,
      model: 'svd',
    });
    expect(settings).to.not.have.any.keys('output', 'dump', 'json', 'quiet');
  });

  it('hold addresses without what may be secret in them', () => {
    const images = ['https://me:word@host/a.png?X-Amz-Signature=1#x', 'data:image/png;base64,AAAA'];
    const stored = storedSettings({ ...command, images }, known);
    expect(stored.images).to.deep.equal(['https://host/a.png', 'data:image/png']);
    expect(diffusersArguments(stored).images).to.deep.equal(stored.images);
  });

  it("are told by diffusers' names", () => {
    const args = diffusersArguments(settings);
    expect(args).to.include({
      num_frames: 14,
      decode_chunk_size: 14,
      max_guidance_scale: 3,
      fps: 7,
    });
    expect(args).to.deep.include({ seeds: [3], images: ['a.png'], sigmas: [700, 0] });
    expect(args).to.not.have.any.keys('model', 'checkpoint', 'backend', 'version', 'numFrames');
  });

  it('become texts', () => {
    expect(asTexts(settings)).to.include({
      model: 'svd',
      height: '576',
      seeds: '[3]',
      sigmas: '[700,0]',
    });
    expect(JSON.parse(asTexts(settings).checkpoint)).to.deep.equal(checkpoint);
    expect(asTexts(settings)).to.not.have.any.keys('threads', 'latents');
  });
});

describe('writeOutputs', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
  });
  after(() => rm(folder, { recursive: true }));

  const video = [frame];
  const latents = { data: new Float32Array(8), shape: [2, 4] };

  /** The message of a failure, and the paths in it of what was kept. */
  async function failure(outputs: Output[]): Promise<{ message: string; kept: string[] }> {
    const error = await writeOutputs(outputs, settings, never).catch((reason: Error) => reason);
    expect(error).to.be.an('error');
    const { message } = error as Error;
    const [, kept] = /The result is in (.*) instead\.$/.exec(message) as string[];
    return { message, kept: kept.split(', ') };
  }

  it('keeps a result elsewhere when its place has gone', async () => {
    const { message, kept } = await failure([
      { path: join(folder, 'gone/clip-0.gif'), video, format: 'gif' },
      { path: join(folder, 'gone/clip-1/'), video, format: 'png' },
      { path: join(folder, 'gone/out.safetensors'), tensors: { latents } },
    ]);
    expect(message).to.contain('cannot be written: there is no folder');
    const [file, pictures, tensors] = kept;
    await access(file);
    await access(tensors);
    expect(await readdir(pictures)).to.deep.equal(['0000.png']);
    await rm(dirname(file), { recursive: true });
  });

  it('keeps pictures when the encoder fails', async () => {
    // This one cannot write WebM.
    const output = { path: join(folder, 'clip.webm'), video, format: 'webm' } as const;
    const builtin = { ...settings, encoder: 'builtin' } as const;
    const error = await writeOutputs([output], builtin, never).catch((reason: Error) => reason);
    const [, kept] = /writes no WebM\. .* The result is in (.*) instead\.$/.exec(
      (error as Error).message,
    )!;
    expect(basename(kept)).to.equal('clip.webm.frames');
    expect(await readdir(kept)).to.deep.equal(['0000.png']);
    expect(await readMetadata(kept)).to.include({ seeds: '[3]' });
    await rm(dirname(kept), { recursive: true });
  });

  it('keeps pictures when ffmpeg fails', async () => {
    const { PATH } = process.env;
    process.env.PATH = ''; // it has been removed since
    const output = { path: join(folder, 'clip.mp4'), video, format: 'mp4' } as const;
    const byFfmpeg = { ...settings, encoder: 'ffmpeg' } as const;
    const error = await writeOutputs([output], byFfmpeg, never)
      .catch((reason: Error) => reason)
      .finally(() => {
        process.env.PATH = PATH;
      });
    const [, kept] = /^ffmpeg is needed, .* The result is in (.*) instead\.$/.exec(
      (error as Error).message,
    )!;
    expect(await readdir(kept)).to.deep.equal(['0000.png']);
    await rm(dirname(kept), { recursive: true });
  });

  it('writes what it can', async () => {
    const { kept } = await failure([
      { path: join(folder, 'gone/clip.gif'), video, format: 'gif' },
      { path: join(folder, 'dump.safetensors'), tensors: { latents } },
    ]);
    expect(kept.map((path) => basename(path))).to.deep.equal(['clip.gif']);
    expect(await readdir(folder)).to.deep.equal(['dump.safetensors']);
    await rm(dirname(kept[0]), { recursive: true });
    await rm(join(folder, 'dump.safetensors'));
  });

  it('writes nothing once it is interrupted', async () => {
    const signal = AbortSignal.abort(new Interrupted());
    const path = join(folder, 'clip.gif');
    const run = writeOutputs([{ path, video, format: 'gif' }], settings, signal);
    expect(await run.catch((reason: Error) => reason)).to.be.instanceOf(Interrupted);
    expect(await readdir(folder)).to.deep.equal([]);
  });
});
