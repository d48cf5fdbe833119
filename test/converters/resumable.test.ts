/** Conversions that end early, by any cause and at any byte, and the next run. */
import { spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type ConvertOptions, convertCheckpoint } from '../../converters/index.ts';
import { writeResumably } from '../../converters/resumableOutput.ts';
import { type OutputFile, textFile } from '../../src/files/writing/outputFile.ts';
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
 * microseconds. Returns whether it was.
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
  it('are completed by the next run, wherever they were killed @slow', () =>
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
        if ((await readdir(path('.'))).includes(`${i}-${name}`))
          await expectSame(output, path(`whole-${name}`));
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
      expect(resumed).to.be.above(7); // an original output is one file, which begins anew
    }));

  it('go on only from their own files: not after other options, or files that are cut', () =>
    withModel('float32', async (model, path) => {
      const stop = async (output: string, options: ConvertOptions, from = model) => {
        const controller = new AbortController();
        const onProgress = ({ step, steps }: { step: number; steps: number }) =>
          step > 0.8 * steps && controller.abort(new Error('enough'));
        const error = await convertCheckpoint(from, output, {
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

      await cp(model, path('other'), { recursive: true });
      await stop(path('c'), { to: 'tfjs' }, path('other'));
      expect(await goOn(path('c'), { to: 'tfjs' })).to.equal(0);
      await expectSame(path('c'), path('whole'));

      const shards = { to: 'tfjs', shardSize: 100_000 } as const;
      await convertCheckpoint(model, path('shards'), shards);
      await stop(path('d'), shards);
      const [cut, ...kept] = (await readdir(path('.d.partial/output/unet'))).sort();
      await truncate(path(`.d.partial/output/unet/${cut}`), 5000);
      await writeFile(path('.d.partial/writing'), 'something');
      const imageEncoder = await contentsOf(path('.d.partial/output/image_encoder'));
      const complete = Object.entries(imageEncoder).filter(([name]) => name.endsWith('.bin'));
      expect(await goOn(path('d'), shards)).to.equal(
        complete.reduce((sum, [, { length }]) => sum + length, kept.length * 100_000),
      );
      await expectSame(path('d'), path('shards'));
    }));

  it('know the steps of quantised weights that an earlier run has written', () =>
    withModel('float32', async (model, path) => {
      const options = { to: 'tfjs', quantize: 'uint8', shardSize: 50_000 } as const;
      const { errors } = await convertCheckpoint(model, path('whole'), options);
      const controller = new AbortController();
      await convertCheckpoint(model, path('a'), {
        ...options,
        signal: controller.signal,
        onProgress: ({ step, steps }) => step > 0.7 * steps && controller.abort(),
      }).catch(() => {});
      expect(await readdir(path('.a.partial/output'))).to.include('unet');
      expect((await convertCheckpoint(model, path('a'), options)).errors).to.deep.equal(errors);
      await expectSame(path('a'), path('whole'));
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
        'already exists',
      );
    }));

  it('are completed after the disk was full @slow', async function () {
    if (process.platform !== 'linux') this.skip();
    await withModel('float32', async (model, path) => {
      const script = fileURLToPath(new URL('convertInProcess.ts', import.meta.url));
      // No file of this process may grow beyond 400 KiB: for the writer, that is a disk without
      // room.
      const command =
        `ulimit -f 400; trap '' XFSZ; exec "$0" --import tsx "${script}" "${model}" ` +
        `"${path('a')}" '{"to":"tfjs"}'`;
      const child = spawn('bash', ['-c', command.replace('"$0"', `"${process.execPath}"`)]);
      let stderr = '';
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      await new Promise((resolve) => child.on('close', resolve));
      expect(stderr).to.include('Cannot write').and.include('it keeps complete files');
      await convertCheckpoint(model, path('whole'), { to: 'tfjs' });
      await convertCheckpoint(model, path('a'), { to: 'tfjs' });
      await expectSame(path('a'), path('whole'));
    });
  });
});

describe('writeResumably', () => {
  const file = (path: string, bytes: number[], size = bytes.length): OutputFile => {
    const make = async () => new Uint8Array(bytes);
    return { path, pieces: [{ position: 0, bytes: size, make }] };
  };

  it('writes files and texts', () =>
    inTemporaryFolder(async (folder) => {
      const late = file('a', [1, 2, 3]);
      late.pieces.unshift({ ...late.pieces[0], position: 3 });
      const files = [late, textFile('sub/b', async () => 'text')];
      await writeResumably(join(folder, 'out'), files, { job: 1 });
      expect([...(await readFile(join(folder, 'out/a')))]).to.deep.equal([1, 2, 3, 1, 2, 3]);
      expect(await readFile(join(folder, 'out/sub/b'), 'utf8')).to.equal('text');
      await writeResumably(join(folder, 'one'), [file('', [7])], { job: 1 });
      expect([...(await readFile(join(folder, 'one')))]).to.deep.equal([7]);
      expect((await readdir(folder)).sort()).to.deep.equal(['one', 'out']);
    }));

  it('refuses to write what another process writes, or what has no room', () =>
    inTemporaryFolder(async (folder) => {
      const out = join(folder, 'out');
      await expectError(
        () => writeResumably(out, [file('a', [], 1e15)], { job: 1 }),
        'needs 1000000.0 GB',
        'are free',
      );
      await writeFile(join(folder, '.out.partial/lock'), String(process.ppid));
      await expectError(
        () => writeResumably(out, [], { job: 1 }),
        `Process ${process.ppid} is writing`,
      );
    }));

  it('refuses to write twice at the same time, and takes over what a killed process has locked', () =>
    inTemporaryFolder(async (folder) => {
      const out = join(folder, 'out');
      await mkdir(join(folder, '.out.partial'));
      await writeFile(join(folder, '.out.partial/lock'), String(process.pid)); // had this number
      let proceed = () => {};
      const waiting = new Promise<void>((resolve) => {
        proceed = resolve;
      });
      const text = textFile('a', async () => {
        await waiting;
        return 'text';
      });
      const first = writeResumably(out, [text], { job: 1, onProgress: () => started() });
      let started = () => {};
      await new Promise<void>((resolve) => {
        started = resolve;
      });
      await expectError(() => writeResumably(out, [text], { job: 1 }), 'is writing');
      proceed();
      await first;
      expect(await readdir(folder)).to.deep.equal(['out']);
    }));
});
