import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import {
  defaultOutput,
  outputPaths,
  withDefaultOutput,
} from '../../../src/cli/generate/defaultOutput.ts';
import { built } from '../../harness/built.ts';
import { onTestBackend, picture, workFolder } from '../runs.ts';
import { readGenerateCommand } from './readCommand.ts';

describe('defaultOutput', () => {
  const free = () => false;
  it('is the name of the picture with the ending of the format', () => {
    expect(defaultOutput('a/rocket.v2.jpg', undefined, free)).to.equal('rocket.v2.mp4');
    expect(defaultOutput('https://example.org/b/c.png?size=1#x', 'gif', free)).to.equal('c.gif');
    expect(defaultOutput('-', 'png', free)).to.equal('video/');
    expect(defaultOutput('data:image/png;base64,AA', 'webp', free)).to.equal('video.webp');
  });

  it('never is one that exists', () => {
    const taken = ['rocket.mp4', 'rocket-2-0.mp4'];
    expect(defaultOutput('rocket.jpg', 'mp4', (path) => taken.includes(path))).to.equal(
      'rocket-3.mp4',
    );
  });

  it('tells of a call that has not ended, of which some videos are there', async () => {
    const folder = await workFolder();
    const cwd = folder.path('.');
    for (const name of ['rocket-0.mp4', 'rocket.mp4.resume.safetensors', 'rocket-2.mp4'])
      await writeFile(folder.path(name), '');
    const args = ['generate', picture('rocket.jpg'), '--model', folder.path('nowhere')];
    const { stderr } = spawnSync(process.execPath, [built('src/cli/main.js'), ...args], {
      ...{ cwd, encoding: 'utf8' },
    });
    await folder.remove();
    expect(stderr).to.contain('note: the output is rocket-3.mp4\n');
    expect(stderr.match(/.*not ended.*/g)).to.deep.equal([
      'note: rocket.mp4.resume.safetensors is of a call that has not ended, which goes on with ' +
        '--output rocket.mp4',
    ]);
  });

  it('is another one for each of several calls at once', async () => {
    const folder = await workFolder();
    const cwd = folder.path('.');
    const size = ['--height', '16', '--width', '16', '--frames', '1', '--steps', '1', '--quiet'];
    const words = ['generate', picture('rocket.jpg'), ...size, ...onTestBackend];
    const calls = Array.from({ length: 2 }, () =>
      spawn(process.execPath, [built('src/cli/main.js'), ...words], { cwd, stdio: 'ignore' }),
    );
    const codes = await Promise.all(calls.map(async (call) => (await once(call, 'close'))[0]));
    const names = await readdir(cwd);
    await folder.remove();
    expect(codes).to.deep.equal([0, 0]);
    expect(names).to.have.members(['rocket.mp4', 'rocket-2.mp4']);
  });

  it('is given up when the work fails, and needs no folder that can be written', async () => {
    const call = { images: ['no-such.jpg'], format: 'gif' } as const;
    const seen: string[] = [];
    const work = async (output: string) => {
      seen.push(output);
      expect(await readdir('.')).to.include('.no-such.gif.lock');
      await withDefaultOutput({ ...call, images: [...call.images] }, async (other) => {
        seen.push(other);
      });
      throw new Error('failed');
    };
    const failed = withDefaultOutput({ ...call, images: [...call.images] }, work);
    expect(await failed.catch((error) => error.message)).to.equal('failed');
    expect(seen).to.deep.equal(['no-such.gif', 'no-such-2.gif']);
    expect((await readdir('.')).filter((name) => name.includes('no-such'))).to.deep.equal([]);
  });

  it('is used where no output is passed', () => {
    expect(readGenerateCommand(['no-such.png', '--output-type', 'latent'])).to.include({
      output: 'no-such.safetensors',
      format: 'safetensors',
    });
    expect(readGenerateCommand(['package.jpg']).output).to.equal('package.mp4');
  });
});

describe('outputPaths', () => {
  it('numbers several videos before the ending', () => {
    expect(outputPaths({ output: 'out.mp4', format: 'mp4' }, 1)).to.deep.equal(['out.mp4']);
    expect(outputPaths({ output: 'a.b/out.mp4', format: 'mp4' }, 2)).to.deep.equal([
      'a.b/out-0.mp4',
      'a.b/out-1.mp4',
    ]);
    expect(outputPaths({ output: 'frames/', format: 'png' }, 2)).to.deep.equal([
      'frames-0/',
      'frames-1/',
    ]);
  });

  it('puts several videos into one file of tensors', () => {
    expect(outputPaths({ output: 'out.safetensors', format: 'safetensors' }, 3)).to.deep.equal([
      'out.safetensors',
    ]);
  });
});
