/** Conversions that end early, by any cause and at any byte, and the next run. */
import { spawn } from 'node:child_process';
import {
  appendFile,
  cp,
  open,
  readdir,
  readFile,
  rename,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type ConvertOptions, convertCheckpoint } from '../../converters/index.ts';
import { type Run, writeResumably } from '../../converters/resumable.ts';
import { MersenneTwister } from '../../src/random/mersenneTwister.ts';
import { expectError, inTemporaryFolder } from '../checkpoints/files.ts';
import { type Files, filesOf } from '../checkpoints/hub/server.ts';
import { withModel } from './models.ts';

/** Everything in a folder, or the bytes of a file. */
const contentsOf = async (path: string): Promise<Files> =>
  (await stat(path)).isDirectory() ? filesOf(path) : { '': await readFile(path) };

async function expectSame(path: string, expected: string): Promise<void> {
  const [a, b] = [await contentsOf(path), await contentsOf(expected)];
  expect(Object.keys(a).sort()).to.deep.equal(Object.keys(b).sort());
  for (const [name, bytes] of Object.entries(a)) expect(bytes.equals(b[name]), name).to.equal(true);
}

/**
 * Converts in another process, which is killed once it has written so many bytes, after some more
 * microseconds. Gives whether it was.
 */
async function killed(
  input: string,
  output: string,
  options: ConvertOptions,
  point: number,
): Promise<boolean> {
  const script = fileURLToPath(new URL('convertInProcess.ts', import.meta.url));
  const child = spawn(process.execPath, [
    '--import',
    'tsx',
    script,
    input,
    output,
    JSON.stringify(options),
  ]);
  child.stdout.on('data', (data: Buffer) => {
    const steps = data.toString().trim().split('\n');
    if (Number(steps.at(-1)) >= point) child.kill('SIGKILL');
  });
  return new Promise((resolve) => child.on('close', (_, signal) => resolve(signal === 'SIGKILL')));
}

describe('interrupted conversions', () => {
  it('are completed by the next run, wherever they were killed', () =>
    withModel('float32', async (model, path) => {
      const targets: Record<string, ConvertOptions> = {
        tfjs: { to: 'tfjs', quantize: 'uint16', shardSize: 300_000 },
        'original.safetensors': { to: 'original' },
        diffusers: { to: 'diffusers', shardSize: 300_000, dtype: 'float16' },
        exact: { to: 'tfjs' },
      };
      const total: Record<string, number> = {};
      for (const [name, options] of Object.entries(targets)) {
        await convertCheckpoint(model, path(`whole-${name}`), {
          ...options,
          onProgress: ({ steps }) => (total[name] = steps),
        });
      }
      const points = new MersenneTwister(11);
      let kills = 0;
      let resumed = 0;
      const one = async (i: number) => {
        const [name, options] = Object.entries(targets)[i % 4];
        const output = path(`${i}-${name}`);
        if (await killed(model, output, options, (points.next() / 2 ** 32) * total[name]))
          kills += 1;
        const steps: number[] = [];
        const left = (await readdir(path('.'))).includes(`.${i}-${name}.partial`);
        if (left)
          await convertCheckpoint(model, output, {
            ...options,
            onProgress: ({ step }) => steps.push(step),
          });
        if (steps[0] > 0) resumed += 1;
        await expectSame(output, path(`whole-${name}`));
        expect(
          (await readdir(path('.'))).filter((file) => file.startsWith(`.${i}-`)),
        ).to.deep.equal([]);
      };
      for (let i = 0; i < 20; i += 4) await Promise.all([0, 1, 2, 3].map((j) => one(i + j)));
      expect(kills).to.be.above(15);
      expect(resumed).to.be.above(10);
    }));

  it('go on from their own part alone: not from another input, other options, or bytes that have changed', () =>
    withModel('float32', async (model, path) => {
      const stop = async (output: string, options: ConvertOptions) => {
        const controller = new AbortController();
        const onProgress = ({ step, steps }: { step: number; steps: number }) =>
          step > steps / 2 && controller.abort(new Error('enough'));
        const error = await convertCheckpoint(model, output, {
          ...options,
          onProgress,
          signal: controller.signal,
        }).catch((thrown) => thrown);
        expect(error.message).to.equal('enough');
      };
      const goOn = async (output: string, options: ConvertOptions) => {
        let first: number | undefined;
        await convertCheckpoint(model, output, {
          ...options,
          onProgress: ({ step }) => (first ??= step),
        });
        return first!;
      };
      await convertCheckpoint(model, path('whole'), { to: 'tfjs' });
      await stop(path('a'), { to: 'tfjs' });
      expect(await goOn(path('a'), { to: 'tfjs' })).to.be.above(0);
      await expectSame(path('a'), path('whole'));

      await stop(path('b'), { to: 'tfjs', quantize: 'uint8' });
      expect(await goOn(path('b'), { to: 'tfjs' })).to.equal(0);
      await expectSame(path('b'), path('whole'));

      await stop(path('c'), { to: 'tfjs' });
      const shard = path('.c.partial/output/unet/group1-shard1of1.bin');
      const file = await open(shard, 'r+');
      await file.write(Buffer.from([1, 2, 3]), 0, 3, 1000);
      await file.close();
      await appendFile(path('.c.partial/journal'), '{"crc":12'); // a line that was not finished
      await goOn(path('c'), { to: 'tfjs' });
      await expectSame(path('c'), path('whole'));

      await stop(path('d'), { to: 'tfjs' });
      await truncate(path('.d.partial/output/image_encoder/group1-shard1of1.bin'), 5000);
      const first = await goOn(path('d'), { to: 'tfjs' });
      expect(first).to.be.below(5000);
      await expectSame(path('d'), path('whole'));
    }));

  it('are done if nothing was left to do but tidying up', () =>
    withModel('float32', async (model, path) => {
      const controller = new AbortController();
      const onProgress = ({ step, steps }: { step: number; steps: number }) =>
        step === steps && controller.abort(new Error('enough'));
      await convertCheckpoint(model, path('a'), {
        to: 'tfjs',
        onProgress,
        signal: controller.signal,
      }).catch(() => {});
      await convertCheckpoint(model, path('whole'), { to: 'tfjs' });
      await cp(path('whole'), path('.a.partial/output'), { recursive: true });
      await rename(path('.a.partial/output'), path('a'));
      await convertCheckpoint(model, path('a'), { to: 'tfjs' });
      await expectSame(path('a'), path('whole'));
      await expectError(
        () => convertCheckpoint(model, path('a'), { to: 'tfjs' }),
        'already something',
      );
    }));

  it('are completed after the disk was full', async function () {
    if (process.platform !== 'linux') this.skip();
    await withModel('float32', async (model, path) => {
      const script = fileURLToPath(new URL('convertInProcess.ts', import.meta.url));
      // No file of this process may grow beyond 400 KiB: for the writer, that is a disk without
      // room.
      const command = `ulimit -f 400; trap '' XFSZ; exec "$0" --import tsx "${script}" "${model}" "${path('a')}" '{"to":"tfjs"}'`;
      const child = spawn('bash', ['-c', command.replace('"$0"', `"${process.execPath}"`)]);
      let stderr = '';
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      await new Promise((resolve) => child.on('close', resolve));
      expect(stderr).to.include('cannot be written').and.include('it goes on where it ended');
      await convertCheckpoint(model, path('whole'), { to: 'tfjs' });
      await convertCheckpoint(model, path('a'), { to: 'tfjs' });
      await expectSame(path('a'), path('whole'));
    });
  });
});

describe('writeResumably', () => {
  const run = (bytes: number, make: () => Promise<Uint8Array>): Run => ({
    pieces: [{ path: 'a', bytes: bytes + 2 }],
    headBytes: 2,
    parts: [{ bytes, make: async () => ({ data: await make() }) }],
    finish: async () => ({ head: new Uint8Array([7, 8]), texts: { 'sub/b': 'text' } }),
  });

  it('writes head, parts and texts', () =>
    inTemporaryFolder(async (folder) => {
      const runs = [run(3, async () => new Uint8Array([1, 2, 3]))];
      await writeResumably(join(folder, 'out'), { job: 1, runs });
      expect([...(await readFile(join(folder, 'out/a')))]).to.deep.equal([7, 8, 1, 2, 3]);
      expect(await readFile(join(folder, 'out/sub/b'), 'utf8')).to.equal('text');
      expect(await readdir(folder)).to.deep.equal(['out']);
    }));

  it('refuses to write what another process writes, or what has no room', () =>
    inTemporaryFolder(async (folder) => {
      const out = join(folder, 'out');
      await expectError(
        () => writeResumably(out, { job: 1, runs: [run(1e15, async () => new Uint8Array())] }),
        'needs 1000000.0 GB',
        'are free',
      );
      await writeFile(join(folder, '.out.partial/lock'), String(process.ppid));
      await expectError(
        () => writeResumably(out, { job: 1, runs: [] }),
        `Process ${process.ppid} is writing`,
      );
    }));
});
