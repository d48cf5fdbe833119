import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { outputPaths, writeResult } from '../../../src/cli/generate/outputs.ts';
import {
  asTexts,
  diffusersArguments,
  storedSettings,
} from '../../../src/cli/generate/storedSettings.ts';
import { Interrupted } from '../../../src/cli/terminal/errors.ts';
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
const settings = storedSettings(command, {
  ...size,
  seeds: [3],
  backend: 'wasm',
  checkpoint,
  offload: 'none',
});
const frame = { width: 8, height: 8, data: new Uint8Array(192) };
const never = new AbortController().signal;

describe('outputPaths', () => {
  it('numbers several videos before the ending', () => {
    expect(outputPaths('out.mp4', 1)).to.deep.equal(['out.mp4']);
    expect(outputPaths('a.b/out.mp4', 2)).to.deep.equal(['a.b/out-0.mp4', 'a.b/out-1.mp4']);
    expect(outputPaths('frames/', 2)).to.deep.equal(['frames-0/', 'frames-1/']);
  });

  it('puts several videos into one file of tensors', () => {
    expect(outputPaths('out.safetensors', 3)).to.deep.equal(['out.safetensors']);
  });
});

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

describe('writeResult', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('keeps a result elsewhere when its place has gone', async () => {
    const paths = [join(folder, 'gone/clip-0.gif'), join(folder, 'gone/clip-1/')];
    const error = await writeResult({ videos: [[frame], [frame]] }, paths, settings, never).catch(
      (reason: Error) => reason,
    );
    expect(error).to.be.an('error');
    const { message } = error as Error;
    expect(message).to.contain('cannot be written: there is no folder');
    const [, kept] = /The result is in (.*) instead\.$/.exec(message) as string[];
    const [file, pictures] = kept.split(', ');
    await access(file);
    expect(await readdir(pictures)).to.deep.equal(['0000.png']);
    await rm(dirname(file), { recursive: true });
  });

  it('keeps tensors, too', async () => {
    const latents = { data: new Float32Array(8), shape: [2, 4] };
    const run = writeResult(
      { tensors: { latents } },
      [join(folder, 'gone/out.safetensors')],
      settings,
      never,
    );
    const { message } = (await run.catch((reason: Error) => reason)) as Error;
    const [, kept] = /The result is in (.*) instead\.$/.exec(message) as string[];
    await access(kept);
    await rm(dirname(kept), { recursive: true });
  });

  it('writes nothing once it is interrupted', async () => {
    const signal = AbortSignal.abort(new Interrupted());
    const run = writeResult({ videos: [[frame]] }, [join(folder, 'clip.gif')], settings, signal);
    expect(await run.catch((reason: Error) => reason)).to.be.instanceOf(Interrupted);
    expect(await readdir(folder)).to.deep.equal([]);
  });
});
