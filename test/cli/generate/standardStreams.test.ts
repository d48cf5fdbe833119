/** `svd generate` with a picture from standard input and a video to standard output. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { built } from '../../harness/built.ts';
import { folderWithModel, onTestBackend, picture, small, withoutProgress } from '../runs.ts';

const rocket = readFileSync(picture('rocket.jpg'));

describe('svd generate and standard streams', () => {
  const folder = folderWithModel();

  const words = (args: string[], size = small) => [
    ...[built('src/cli/main.js'), 'generate', ...args],
    ...['--model', folder.path('model'), '--seed', '1', ...onTestBackend, ...size],
  ];

  function run(args: string[], stdio: { input?: Uint8Array; stdout?: number } = {}) {
    const { input = rocket, stdout = 'pipe' } = stdio;
    const done = spawnSync(process.execPath, words(args), {
      ...{ input, stdio: ['pipe', stdout, 'pipe'] },
      env: { ...process.env, TMPDIR: folder.path('.') },
    });
    return {
      code: done.status,
      stdout: done.stdout,
      stderr: withoutProgress(done.stderr.toString()),
    };
  }

  it('reads a picture and writes nothing but the video', async () => {
    const { code, stdout, stderr } = run(['-', '--output', '-']);
    expect(stderr.split('\n').at(-2)).to.equal('-');
    expect(code).to.equal(0);
    expect(stdout.toString('latin1', 4, 8)).to.equal('ftyp');
    expect(stdout.toString('latin1')).to.contain('"images":"[\\"-\\"]"');
    expect(run([picture('rocket.jpg'), '--output', folder.path('a.mp4')]).code).to.equal(0);
    // Both differ in the name of the picture alone.
    const length = JSON.stringify(picture('rocket.jpg')).length - JSON.stringify('-').length;
    expect(readFileSync(folder.path('a.mp4')).length - stdout.length).to.equal(length);
  });

  it('writes every format, and the report to standard error @slow', async () => {
    const webp = run(['-', '--output', '/dev/stdout', '--format', 'webp', '--json']);
    expect((await sharp(webp.stdout, { pages: -1 }).metadata()).pages).to.equal(2);
    expect(JSON.parse(webp.stderr).output).to.deep.equal(['/dev/stdout']);
    const pngs = run(['-', '--output', '-', '--format', 'png']).stdout;
    expect(pngs.toString('latin1').split('\x89PNG')).to.have.length(3);
  });

  it('fails where standard output takes nothing, and keeps the result @slow', async function () {
    if (process.platform !== 'linux') this.skip();
    symlinkSync('/dev/full', folder.path('full.gif'));
    const { code, stderr } = run(['-', '--output', folder.path('full.gif')]);
    expect(stderr).to.match(
      /^note: A picture of .* is stretched .*\nerror: ".*full\.gif" could not be written \(ENOSPC: no space left on device\)\. Free space there or choose another place\. The result is in .* instead\.\n$/,
    );
    expect(code).to.equal(1);
    const [, kept] = /is in (.*) instead/.exec(stderr) as string[];
    expect(readFileSync(kept).length).to.be.above(100);
    const command = [process.execPath, ...words(['-', '--output', '-'])];
    const shell = ['-c', 'exec "$@" > /dev/full', 'sh', ...command];
    const full = spawnSync('sh', shell, { input: rocket });
    expect(full.stderr.toString()).to.contain('"-" could not be written (ENOSPC');
    expect(full.status).to.equal(1);
  });

  it('ends when nobody reads any more @slow', async () => {
    // More than a pipe holds.
    const size = ['--height', '64', '--width', '64', '--num-frames', '16'];
    size.push('--num-inference-steps', '1');
    const args = words(['-', '--output', '-', '--format', 'safetensors'], size);
    const child = spawn(process.execPath, args, {
      env: { ...process.env, TMPDIR: folder.path('.') },
    });
    child.stdin.end(rocket);
    child.stdout.once('data', () => child.stdout.destroy());
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).to.contain('Cannot write -: nothing reads it any more.');
    expect(code).to.equal(1);
  });

  it('waits for a writer of a pipe, and ends at the first signal', async () => {
    execFileSync('mkfifo', [folder.path('pipe.png')]);
    const warns = fileURLToPath(new URL('../../fixtures/media/grey_16.png', import.meta.url));
    const args = words([warns, folder.path('pipe.png'), '--output', folder.path('pipe.mp4')]);
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.once('data', () => child.kill('SIGINT'));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).to.equal(130);
  });

  it('refuses an empty standard input, and two pictures from it', async () => {
    const empty = run(['-', '--output', '-'], { input: new Uint8Array() });
    expect(empty.stderr).to.contain('is empty (0 bytes)');
    expect([empty.code, empty.stdout.length]).to.deep.equal([1, 0]);
    const twice = run(['-', '-', '--output', '-']);
    expect(twice.stderr).to.equal(
      'error: - is given twice, but standard input holds one picture.\n',
    );
    expect(twice.code).to.equal(2);
  });

  it('leaves no temporary files, and removes those of killed runs @slow', async () => {
    const args = words(['-', '--output', folder.path('killed/a.safetensors')]);
    mkdirSync(folder.path('killed'));
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] });
      child.stdin.end(rocket);
      const closed = new Promise((resolve) => child.on('close', resolve));
      // The check of the output makes a temporary file, and the writing another.
      const timer = setInterval(() => {
        if (readdirSync(folder.path('killed')).some((name) => name.endsWith('.tmp')))
          child.kill(signal);
      });
      await closed;
      clearInterval(timer);
    }
    expect(run(['-', '--output', folder.path('killed/a.safetensors')]).code).to.equal(0);
    expect(readdirSync(folder.path('killed'))).to.deep.equal(['a.safetensors']);
    expect(readdirSync(folder.path('.')).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });
});
