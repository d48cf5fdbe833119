/** When `svd generate` uses, keeps and removes the state of a call, run within this process. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { stateFileOf } from '../../../../src/cli/generate/resume/keptState.ts';
import { ProgressLine } from '../../../../src/cli/terminal/progress.ts';
import { processName } from '../../../../src/files/process.ts';
import { machine } from '../../../../src/files/writing/temporary.ts';
import {
  loadSamplingState,
  saveSamplingState,
} from '../../../../src/pipelines/resume/stateFile.ts';
import { folderWithModel, generate, picture, writeSmallCheckpoint } from '../../runs.ts';

describe('the state that svd generate keeps', () => {
  const folder = folderWithModel();
  const usual = () => [
    ...['--height', '16', '--width', '24', '--num-frames', '2', '--num-inference-steps', '3'],
    ...['--seed', '1', '--model', folder.path('model')],
  ];
  const words = (output: string, ...args: string[]) => [
    ...[picture('rocket.jpg'), '--output', folder.path(output)],
    ...args,
    ...usual().filter((_, i, all) => !args.includes(all[i - (i % 2)]!)),
  ];

  /** Runs until a number of steps is done, and keeps the state after each. */
  async function stopped(args: string[], steps: number): Promise<string[]> {
    const controller = new AbortController();
    const progress = new ProgressLine();
    const { update } = progress;
    progress.update = (one) => {
      update(one);
      if (one.stage === 'sampling' && one.step === steps) controller.abort(new Error('stopped'));
    };
    const notes: string[] = [];
    const watch = { progress, signal: controller.signal, note: (text: string) => notes.push(text) };
    const error = await generate(args, watch, () => true).catch((reason: Error) => reason);
    expect(error).to.have.property('message', 'stopped');
    return notes;
  }

  const state = (output: string) => folder.path(`${output}.resume.safetensors`);
  const files = async (prefix: string) =>
    (await readdir(folder.path('.'))).filter((name) => name.startsWith(prefix)).sort();
  const about = (notes: string[]) => notes.filter((text) => /goes on|anew|state/.test(text));

  let whole: Buffer;
  before(async () => {
    await generate(words('whole.gif'));
    whole = await readFile(folder.path('whole.gif'));
  });

  it('is not kept by a short call', async () => {
    expect(about((await generate(words('short.gif'))).notes)).to.deep.equal([]);
    expect(await files('short')).to.deep.equal(['short.gif']);
  });

  it('is said once, gone on from, and removed in the end', async () => {
    const kept = `if it is stopped, the same command goes on from ${state('a.gif')}`;
    const notes = about(await stopped(words('a.gif'), 2));
    const stoppedAt = `the same command goes on after step 2, from ${state('a.gif')}`;
    expect(notes).to.deep.equal([kept, stoppedAt]);
    expect((await loadSamplingState(state('a.gif'))).step).to.equal(2);
    const resumed = await generate(words('a.gif'));
    expect(about(resumed.notes)).to.deep.equal([`goes on after step 2, from ${state('a.gif')}`]);
    expect(await files('a.gif')).to.deep.equal(['a.gif']);
    expect(await readFile(folder.path('a.gif'))).to.deep.equal(whole);
  });

  it('is written however often without a warning of Node', async () => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => warnings.push(message);
    process.on('warning', onWarning);
    const args = ['--num-inference-steps', '14', '--max-guidance-scale', '1'];
    await generate(words('n.gif', ...args), {}, () => true);
    process.off('warning', onWarning);
    expect(warnings).to.deep.equal([]);
  });

  it('serves what changes only the decoding, the place of weights or the format', async () => {
    await stopped(words('b.webp'), 3);
    const args = ['--offload', 'sequential', '--decode-chunk-size', '1', '--quality', '50'];
    const { notes } = await generate(words('b.webp', ...args));
    expect(about(notes)).to.deep.equal([`goes on after step 3, from ${state('b.webp')}`]);
  });

  it('stays when another call with --no-resume ends, and goes when the same one does', async () => {
    await stopped(words('k.gif'), 2);
    const kept = await readFile(state('k.gif'));
    const other = await generate(words('k.gif', '--seed', '2', '--no-resume'));
    expect(about(other.notes)).to.deep.equal([]);
    expect(await readFile(state('k.gif'))).to.deep.equal(kept);
    const same = await generate(words('k.gif', '--no-resume'));
    expect(about(same.notes)).to.deep.equal([]);
    expect(await files('k.gif')).to.deep.equal(['k.gif']);
  });

  it('is not there where DeepCache has no full step yet, and whoever stops hears it', async () => {
    const notes = about(await stopped(words('l.gif', '--deep-cache', '3'), 2));
    expect(notes).to.deep.equal([
      'the same command starts anew: with --deep-cache, states are kept every 3 steps, before one ' +
        'that runs in full',
    ]);
  });

  it('is named and not used by another call, and stays until that keeps its own @slow', async () => {
    await stopped(words('c.gif'), 2);
    const kept = await readFile(state('c.gif'));
    await writeSmallCheckpoint(folder.path('other'));
    const tensors = `${folder.path('other')}/vae/diffusion_pytorch_model.safetensors`;
    const bytes = await readFile(tensors);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(tensors, bytes);
    for (const [args, difference] of [
      [['--seed', '2'], 'with --seed 1'],
      [['--fps', '8'], 'with --fps 7'],
      [
        ['--num-inference-steps', '2', '--sigmas', '700,1,0'],
        'with --num-inference-steps 3 and without --sigmas',
      ],
      [['--model', folder.path('other')], 'with another checkpoint'],
      [['--formulation', 'plain'], 'with --formulation fastest'],
      [['--dump', folder.path('dump.safetensors')], 'without --dump'],
    ] as [string[], string][]) {
      const { notes } = await generate(words('c.gif', ...args));
      const note = `the call starts anew: ${state('c.gif')} is of a call ${difference}`;
      expect(about(notes)).to.deep.equal([note]);
      expect(await readFile(state('c.gif'))).to.deep.equal(kept);
    }
    const [, ...rest] = words('c.gif');
    const { notes } = await generate([picture('coffee.jpg'), ...rest]);
    expect(about(notes)[0]).to.contain('is of a call with another picture or start noise');
    // One that has kept its own does not leave it.
    await generate(words('c.gif', '--seed', '2'), {}, () => true);
    expect(await files('c.gif')).to.deep.equal(['c.gif']);
  });

  it('is named and not used where another version or device has made it', async () => {
    await stopped(words('d.gif'), 1);
    const { metadata, ...kept } = await loadSamplingState(state('d.gif'));
    const changed = { ...JSON.parse(metadata.call!), version: '0.0.1', device: 'abacus' };
    await saveSamplingState(state('d.gif'), kept, {
      metadata: { ...metadata, call: JSON.stringify(changed) },
    });
    const { notes } = await generate(words('d.gif'));
    expect(about(notes)).to.deep.equal([
      `the call starts anew: ${state('d.gif')} is of a call on abacus and of version 0.0.1`,
    ]);
  });

  it('is not used with --no-resume', async () => {
    await stopped(words('e.gif'), 2);
    const { notes } = await generate(words('e.gif', '--no-resume'));
    expect(about(notes)).to.deep.equal([]);
    expect(await files('e.gif')).to.deep.equal(['e.gif']);
    expect(await readFile(folder.path('e.gif'))).to.deep.equal(whole);
  });

  it('is named where it is cut, damaged or not of this command, and replaced @slow', async () => {
    await stopped(words('f.gif'), 2);
    const kept = await readFile(state('f.gif'));
    const flipped = Uint8Array.from(kept);
    flipped[kept.length - 100]! ^= 4;
    const damaged = `${state('f.gif')} is damaged, cut short or not the state of a call.`;
    for (const bytes of [
      kept.subarray(0, 0),
      kept.subarray(0, 1000),
      kept.subarray(0, -1),
      flipped,
    ]) {
      await writeFile(state('f.gif'), bytes);
      const { notes } = await generate(words('f.gif'));
      expect(about(notes)).to.deep.equal([`the call starts anew: ${damaged}`]);
      expect(await files('f.gif')).to.deep.equal(['f.gif']);
      expect(await readFile(folder.path('f.gif'))).to.deep.equal(whole);
    }
    await writeFile(state('f.gif'), kept);
    const { metadata, tensors, ...plain } = await loadSamplingState(state('f.gif'));
    for (const metadata of [{}, { call: 'mine' }, { call: '{}' }] as Record<string, string>[]) {
      await saveSamplingState(state('f.gif'), plain, { metadata });
      expect(about((await generate(words('f.gif'))).notes)).to.deep.equal([
        `the call starts anew: ${state('f.gif')} is not of a call of svd generate.`,
      ]);
    }
  });

  it('is one for several videos and for a folder of pictures', async () => {
    const several = words('g.gif', '--num-videos-per-prompt', '2');
    await stopped(several, 1);
    expect(await files('g')).to.deep.equal(['g.gif.resume.safetensors']);
    await generate(several);
    expect(await files('g')).to.deep.equal(['g-0.gif', 'g-1.gif']);
    await stopped(words('h/'), 1);
    expect(await files('h')).to.include('h.resume.safetensors');
    expect(about((await generate(words('h/'))).notes)).to.have.lengthOf(1);
    expect(await readdir(folder.path('h'))).to.have.lengthOf(2);
  });

  it('is not kept of an output that is a stream', () => {
    expect(stateFileOf({ output: '-' })).to.equal(undefined);
    if (process.platform !== 'win32')
      expect(stateFileOf({ output: '/dev/null' })).to.equal(undefined);
  });

  it('replaces no other file of the call', async () => {
    const refusal = (...args: string[]) =>
      generate(words('i.gif', ...args)).catch((error: Error) => error.message);
    expect(await refusal('--dump', state('i.gif'))).to.equal(
      `the state of the call "${state('i.gif')}" would replace --dump, "${state('i.gif')}". Use ` +
        'another name.',
    );
    await cp(picture('rocket.jpg'), state('i.gif'));
    expect(await refusal('--latents', state('i.gif'))).to.be.a('string');
    await rm(state('i.gif'));
  });

  it('is missed with a note where it cannot be written, and the video is made', async () => {
    // A folder in its place is what no process may replace, whoever it runs as.
    await mkdir(state('j.gif'));
    await writeFile(`${state('j.gif')}/file`, '');
    const { notes } = await generate(words('j.gif'), {}, () => true);
    const [cannotRead, cannotWrite, ...others] = about(notes);
    expect(cannotRead).to.match(/^the call starts anew: Cannot read .*: it is not a file\.$/);
    expect(cannotWrite).to.match(/^the state of the call is not kept\. Cannot write .*j\.gif\.res/);
    expect(others).to.deep.equal([]);
    expect(await readFile(folder.path('j.gif'))).to.deep.equal(whole);
    await rm(state('j.gif'), { recursive: true });
  });

  it('stays with a process that runs and makes the same output', async () => {
    await stopped(words('k.gif'), 2);
    const other = fork('-', { execArgv: ['--eval', 'setInterval(() => {}, 1000)'] });
    await once(other, 'spawn');
    const { metadata, tensors, ...kept } = await loadSamplingState(state('k.gif'));
    await saveSamplingState(state('k.gif'), kept, {
      metadata: { ...metadata, owner: `${machine} ${processName(other.pid!)}` },
    });
    const bytes = await readFile(state('k.gif'));
    const taken = await generate(words('k.gif'), {}, () => true);
    expect(about(taken.notes)).to.deep.equal([
      `the state of the call is not kept: ${state('k.gif')} is of process ${other.pid}`,
    ]);
    expect(await readFile(state('k.gif'))).to.deep.equal(bytes);
    // Its number is that of an earlier process, such as one before the system was started anew.
    if (process.platform === 'linux') {
      await saveSamplingState(state('m.gif'), kept, {
        metadata: { ...metadata, owner: `${machine} ${other.pid}-1` },
      });
      const { notes } = await generate(words('m.gif'));
      expect(about(notes)[0]).to.contain('goes on after step 2');
    }
    other.kill('SIGKILL');
    await once(other, 'close');
    expect(about((await generate(words('k.gif'))).notes)[0]).to.contain('goes on after step 2');
  });

  it('is no hindrance in a folder that is read-only', async function () {
    if (process.getuid?.() === 0 || process.platform === 'win32') this.skip();
    await mkdir(folder.path('fixed'));
    await writeFile(folder.path('fixed/l.gif'), '');
    await chmod(folder.path('fixed'), 0o555);
    const { notes } = await generate(words('fixed/l.gif'), {}, () => true);
    expect(about(notes)[0]).to.contain('the state of the call is not kept. Cannot write');
    expect(await readFile(folder.path('fixed/l.gif'))).to.deep.equal(whole);
    await chmod(folder.path('fixed'), 0o755);
  });
});
