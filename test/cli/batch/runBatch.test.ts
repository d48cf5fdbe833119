/** `svd batch` within this process: what is made, passed over, made again, and refused. */
import { copyFileSync, rmSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'chai';
import { readItems } from '../../../src/cli/batch/items.ts';
import { manyOptions } from '../../../src/cli/batch/options.ts';
import type { Outcome } from '../../../src/cli/batch/report.ts';
import { runBatch } from '../../../src/cli/batch/runBatch.ts';
import { readArguments, readValues } from '../../../src/cli/terminal/arguments.ts';
import { ProgressLine } from '../../../src/cli/terminal/progress.ts';
import type { Session } from '../../../src/cli/terminal/session.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { testBackend } from '../../setup.ts';
import { folderWithModel, generate, picture, small, writeSmallLora } from '../runs.ts';

describe('svd batch', () => {
  const folder = folderWithModel();
  const at = (name: string) => folder.path(name);
  const common = () => ['--model', at('model'), ...small, '--seed', '5'];

  before(async () => {
    await mkdir(at('set'));
    for (const name of ['cat.png', 'coffee.jpg', 'rocket.jpg'])
      await copyFile(picture(name), at(`set/${name}`));
  });
  beforeEach(() => rm(at('out'), { recursive: true, force: true }));

  /** Runs the command without its report. */
  async function batch(
    args: string[],
    watch: Partial<Session> = {},
    isKept = () => false,
    told = (_: Outcome) => {},
  ) {
    const given = readArguments(
      [...args, '--output-dir', at('out'), '--backend', testBackend],
      manyOptions,
    );
    const values = readValues(given, manyOptions, 'batch');
    const items = await readItems(given.positionals, values, given.has, values.outputDir);
    const outcomes = items.map((item): Outcome => ({ item, state: 'open' }));
    const notes: string[] = [];
    const session: Session = {
      signal: new AbortController().signal,
      progress: new ProgressLine(),
      note: (text) => notes.push(text.replaceAll(`${at('')}/`, '')),
      ...watch,
    };
    const order: string[] = [];
    const onOutcome = (outcome: Outcome) => {
      const { item, state } = outcome;
      order.push(`${item.picture.split('/').at(-1)} ${state}`);
      told(outcome);
    };
    const error = await runBatch(outcomes, { session, onOutcome, isKept }).catch(
      (reason) => reason,
    );
    return { outcomes, notes, order, error };
  }

  const made = (name: string) => readFile(at(`out/${name}`));

  it('makes what single calls make, to the byte, whatever the order', async () => {
    const single: Buffer[] = [];
    for (const name of ['cat.png', 'coffee.jpg']) {
      await generate([at(`set/${name}`), '--output', at('one.gif'), ...common()]);
      single.push(await readFile(at('one.gif')));
    }
    const before = tf.memory().numTensors;
    for (const names of [
      ['cat.png', 'coffee.jpg'],
      ['coffee.jpg', 'cat.png'],
    ]) {
      await rm(at('out'), { recursive: true, force: true });
      const inputs = names.map((name) => at(`set/${name}`));
      const { order, error } = await batch([...inputs, ...common(), '--format', 'gif']);
      expect(error).to.equal(undefined);
      expect(order).to.deep.equal(names.map((name) => `${name} done`));
      expect([await made('cat.gif'), await made('coffee.gif')]).to.deep.equal(single);
    }
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('has options by row, and loads once for each way of loading', async () => {
    const rows = [
      { picture: 'set/cat.png', output: 'a/', seed: 1 },
      {
        picture: 'set/cat.png',
        output: 'b.safetensors',
        outputType: 'latent',
        scheduler: 'edm-euler',
      },
      { picture: 'set/cat.png', output: 'deep/c.webp', frames: 3, numVideosPerPrompt: 2 },
      { picture: 'set/cat.png', output: 'd.gif', model: 'nowhere' },
    ];
    await writeFile(at('list.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const { order, outcomes, notes } = await batch([at('list.jsonl'), ...common()]);
    expect(order.sort()).to.deep.equal([
      'cat.png done',
      'cat.png done',
      'cat.png done',
      'cat.png failed',
    ]);
    expect(outcomes.map(({ state }) => state)).to.deep.equal(['done', 'done', 'done', 'failed']);
    expect(notes.filter((text) => /^list\.jsonl:4: /.test(text))).to.have.length(1);
    expect((await readdir(at('out/a'))).sort()).to.deep.equal(['0000.png', '0001.png']);
    expect((await readdir(at('out/deep'))).sort()).to.deep.equal([
      ...['c-0.webp', 'c-1.webp', 'c.webp.svd.json'],
    ]);
    const again = await batch([at('list.jsonl'), ...common()]);
    expect(again.outcomes.map(({ state }) => state)).to.deep.equal([
      ...['complete', 'complete', 'complete', 'failed'],
    ]);
  });

  it('loads once for the same LoRA with any scales, and again for other files', async () => {
    await writeSmallLora(at('a.safetensors'), 0.5);
    await writeSmallLora(at('b.safetensors'), -0.7);
    const loras = [[], ['a=0.5'], ['a=-1'], ['b=1', 'a=2'], ['a=0.5']].map((names) =>
      names.map((name) => `${at(name.replace('=', '.safetensors='))}`),
    );
    const rows = loras.map((lora, i) => ({ picture: 'set/cat.png', output: `${i}.gif`, lora }));
    await writeFile(at('lora.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const single = await Promise.all(
      loras.map(async (all, i) => {
        const words = all.flatMap((text) => ['--lora', text]);
        await generate([at('set/cat.png'), '--output', at(`one${i}.gif`), ...common(), ...words]);
        return readFile(at(`one${i}.gif`));
      }),
    );
    const before = tf.memory().numTensors;
    const { fromPretrained } = StableVideoDiffusionPipeline;
    let loads = 0;
    StableVideoDiffusionPipeline.fromPretrained = (...args) => {
      loads++;
      return fromPretrained(...args);
    };
    const run = () => batch([at('lora.jsonl'), ...common()]);
    try {
      expect((await run()).outcomes.map(({ state }) => state)).to.deep.equal(Array(5).fill('done'));
    } finally {
      StableVideoDiffusionPipeline.fromPretrained = fromPretrained;
    }
    expect(loads).to.equal(3);
    expect(tf.memory().numTensors).to.equal(before);
    const all = await Promise.all(loras.map((_, i) => made(`${i}.gif`)));
    expect(all).to.deep.equal(single);
    expect(new Set(all.map((bytes) => bytes.toString('hex'))).size).to.equal(4);
    expect((await run()).order).to.deep.equal(Array(5).fill('cat.png complete'));
    await writeSmallLora(at('a.safetensors'), 0.6);
    expect((await run()).order.sort()).to.deep.equal([
      ...['cat.png complete', ...Array(4).fill('cat.png done')],
    ]);
  });

  it('passes over pictures that fail, and tries them again', async () => {
    await writeFile(at('set/broken.png'), 'nonsense');
    const { order, outcomes, notes, error } = await batch([at('set'), ...common()]);
    expect(error).to.equal(undefined);
    expect(order).to.deep.equal([
      ...['broken.png failed', 'cat.png done', 'coffee.jpg done', 'rocket.jpg done'],
    ]);
    expect(outcomes[0].error).to.match(/not a picture/);
    expect(notes.some((text) => text.startsWith('set/broken.png: '))).to.equal(true);
    await copyFile(picture('cat.png'), at('set/broken.png'));
    const again = await batch([at('set'), ...common()]);
    expect(again.order.sort()).to.deep.equal([
      ...['broken.png done', 'cat.png complete', 'coffee.jpg complete', 'rocket.jpg complete'],
    ]);
    await rm(at('set/broken.png'));
  });

  it('makes again what was altered, cut or removed, with its seed, or is to be otherwise', async () => {
    const args = [at('set'), '--model', at('model'), ...small, '--format', 'gif'];
    await batch(args);
    const first = await Promise.all(['cat.gif', 'coffee.gif', 'rocket.gif'].map(made));
    await truncate(at('out/cat.gif'), 100);
    await rm(at('out/coffee.gif'));
    let again: string[] = [];
    const states = async (more: string[] = []) => {
      const { outcomes, notes } = await batch([...args, ...more]);
      again = notes.filter((text) => / made again: /.test(text));
      return outcomes.map(({ state }) => state).join(' ');
    };
    expect(await states()).to.equal('done done complete');
    expect(again).to.deep.equal(['2 videos are made again: the file was altered, cut or removed']);
    expect(await Promise.all(['cat.gif', 'coffee.gif', 'rocket.gif'].map(made))).to.deep.equal(
      first,
    );
    await writeFile(at('out/rocket.gif.svd.json'), '{');
    expect(await states()).to.equal('complete complete done');
    expect(await states(['--quality', '50', '--fps', '9'])).to.equal('done done done');
    expect(again).to.deep.equal(['3 videos are made again: --quality, --fps have changed']);
    expect(await states(['--quality', '50'])).to.equal('done done done');
    expect(again).to.deep.equal(['3 videos are made again: --fps has changed']);
    await copyFile(picture('coffee.jpg'), at('set/cat.png'));
    expect(await states(['--quality', '50'])).to.equal('done complete complete');
    expect(again).to.deep.equal(['1 video is made again: the picture has changed']);
    await copyFile(picture('cat.png'), at('set/cat.png'));
    expect(await states(['--quality', '50', '--no-resume'])).to.equal('done done done');
  });

  it('makes a video again whose picture has changed or gone while it was made', async () => {
    const moving = at('moving.png');
    await copyFile(picture('cat.png'), moving);
    const progress = new ProgressLine();
    progress.next = () => {
      copyFileSync(picture('rocket.jpg'), moving);
      return progress;
    };
    const args = [moving, '--format', 'gif', ...common()];
    expect((await batch(args, { progress })).order).to.deep.equal(['moving.png done']);
    progress.next = () => {
      rmSync(moving);
      return progress;
    };
    const second = await batch(args, { progress });
    expect(second.order).to.deep.equal(['moving.png done']);
    expect(second.notes).to.include('1 video is made again: the picture has changed');
  });

  it('leaves the video of another picture of that name, until it is removed', async () => {
    await mkdir(at('others'), { recursive: true });
    await copyFile(picture('rocket.jpg'), at('others/cat.png'));
    const args = ['--format', 'gif', ...common()];
    await batch([at('set/cat.png'), ...args]);
    const first = await made('cat.gif');
    const { order, outcomes } = await batch([at('others'), ...args]);
    expect(order).to.deep.equal(['cat.png failed']);
    expect(outcomes[0].error).to.equal(
      `the output "${at('out/cat.gif')}" is the video of another picture, "${at('set/cat.png')}". ` +
        'Use another folder or name, or remove it.',
    );
    expect(await made('cat.gif')).to.deep.equal(first);
    expect((await batch([at('others'), ...args, '--no-resume'])).order).to.deep.equal([
      'cat.png done',
    ]);
    await rm(at('out/cat.gif'));
    expect((await batch([at('set/cat.png'), ...args])).order).to.deep.equal(['cat.png done']);
    expect(await made('cat.gif')).to.deep.equal(first);
    // The same bytes at another place are the same picture.
    await copyFile(picture('cat.png'), at('others/cat.png'));
    expect((await batch([at('others'), ...args])).order).to.deep.equal(['cat.png complete']);
  });

  it('stops at a signal, and goes on from the state of the picture', async () => {
    const steps = small.map((word, i) => (small[i - 1] === '--num-inference-steps' ? '3' : word));
    const args = [at('set'), '--model', at('model'), ...steps, '--seed', '5', '--format', 'gif'];
    const whole = await batch(args);
    expect(whole.error).to.equal(undefined);
    const files = ['cat.gif', 'coffee.gif', 'rocket.gif'];
    const before = await Promise.all(files.map(made));
    await rm(at('out'), { recursive: true });
    const controller = new AbortController();
    const progress = new ProgressLine();
    let picturesBegun = 0;
    progress.next = (ofAll) => {
      const next = new ProgressLine(undefined, undefined, ofAll);
      next.next = progress.next;
      const { update } = next;
      picturesBegun++;
      next.update = (one) => {
        update(one);
        if (picturesBegun === 2 && one.stage === 'sampling' && one.step === 2)
          controller.abort(new Error('stopped'));
      };
      return next;
    };
    const stopped = await batch(args, { progress, signal: controller.signal }, () => true);
    expect(stopped.error).to.have.property('message', 'stopped');
    expect(stopped.outcomes.map(({ state }) => state)).to.deep.equal(['done', 'open', 'open']);
    expect((await readdir(at('out'))).sort()).to.deep.equal([
      ...['cat.gif', 'cat.gif.svd.json', 'coffee.gif.resume.safetensors'],
    ]);
    const again = await batch(args);
    expect(again.order).to.deep.equal(['cat.png complete', 'coffee.jpg done', 'rocket.jpg done']);
    expect(again.notes.filter((text) => /goes on after step 2/.test(text))).to.have.length(1);
    expect(await Promise.all(files.map(made))).to.deep.equal(before);
  });

  it('lets pictures fail that memory does not hold, and makes the others', async () => {
    const rows =
      'picture,height,width\nset/cat.png,,\nset/coffee.jpg,4096,4096\nset/rocket.jpg,,\n';
    await writeFile(at('list.csv'), rows);
    const { order, outcomes, error } = await batch([at('list.csv'), ...common(), '--memory', '2']);
    expect(error).to.equal(undefined);
    expect(order).to.deep.equal(['coffee.jpg failed', 'cat.png done', 'rocket.jpg done']);
    expect(outcomes[1].error).to.match(/memory|GiB/);
  });

  it('ends with a checkpoint that cannot be loaded, and leaves files of others', async () => {
    const wrong = await batch([at('set'), '--model', at('nowhere'), ...small]);
    expect(wrong.error).to.be.instanceOf(Error);
    expect(wrong.order).to.deep.equal([]);
    await mkdir(at('out'));
    await writeFile(at('out/cat.mp4'), 'a film of somebody');
    const { order, outcomes } = await batch([at('set/cat.png'), ...common()]);
    expect(order).to.deep.equal(['cat.png failed']);
    expect(outcomes[0].error).to.match(/would replace a file that this program has not written/);
    expect((await made('cat.mp4')).toString()).to.equal('a film of somebody');
  });

  it('ends where nothing can be written any more, and where the device computes no more', async () => {
    const full = Object.assign(new Error('the disk is full'), { code: 'ENOSPC' });
    const told = ({ state }: Outcome) => {
      if (state === 'done') throw new Error('not written', { cause: full });
    };
    const first = await batch([at('set'), ...common()], {}, undefined, told);
    expect(first.error).to.have.property('message', 'not written');
    expect(first.outcomes.map(({ state }) => state)).to.deep.equal(['failed', 'open', 'open']);
    const backend = tf.backend() as { settle?: () => Promise<void> };
    await writeFile(at('set/a.png'), 'nonsense');
    const second = await batch([at('set'), ...common()], {}, undefined, ({ state }) => {
      if (state === 'failed') backend.settle = () => Promise.reject(new Error('lost'));
    });
    delete backend.settle;
    await rm(at('set/a.png'));
    expect(second.error.message).to.match(/not a picture/);
    expect(second.outcomes.map(({ state }) => state)).to.deep.equal([
      ...['failed', 'complete', 'open', 'open'],
    ]);
  });
});
