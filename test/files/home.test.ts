import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { dataFolder, homeFolder } from '../../src/files/home.ts';
import { built } from '../harness/built.ts';

describe('homeFolder', () => {
  it('is the folder of the user', () => {
    expect(homeFolder()).to.be.a('string');
    expect(dataFolder()).to.be.a('string');
  });
});

describe('a user without a home folder', () => {
  before(function () {
    // Only the superuser can be somebody else, who may not be allowed to read this folder.
    const read = `import '${built('src/files/home.js')}'; console.log(1)`;
    if (process.getuid?.() !== 0 || run(read) !== '1\n') this.skip();
  });

  /** Runs `code` as a user of whom the system knows nothing. */
  function run(code: string, env: Record<string, string> = {}): string {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', code],
      {
        ...{ uid: 54321, gid: 54321, encoding: 'utf8' },
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        env: { PATH: process.env.PATH, TMPDIR: tmpdir(), ...env },
      },
    );
    return stdout + stderr;
  }
  const show = (expression: string) =>
    `console.log(await Promise.resolve().then(() => ${expression}).catch((e) => e.message))`;

  it('has none', () => {
    const code = `import { homeFolder, dataFolder } from '${built('src/files/home.js')}';`;
    expect(run(`${code} console.log(homeFolder(), dataFolder())`)).to.equal(
      'undefined undefined\n',
    );
    expect(run(`${code} console.log(dataFolder())`, { XDG_DATA_HOME: '/data' })).to.equal(
      '/data\n',
    );
  });

  it('is told which variable says where the hub and the backends are', () => {
    const hub = `import { hubSettings } from '${built('src/checkpoints/hub/environment.js')}';`;
    expect(run(hub + show('hubSettings({})'))).to.equal(
      'This user has no home folder, which ~/.cache/huggingface is in. Set HF_HOME to a folder ' +
        'for models.\n',
    );
    expect(run(hub + show("hubSettings({ cacheDir: '/x' }).then((s) => s.cacheDir)"))).to.equal(
      '/x\n',
    );
    const folder = `import * as folder from '${built('src/backends/setup/folder.js')}';`;
    expect(run(folder + show('folder.setupRoot()'))).to.equal(
      'This user has no home folder for backends. Set SVD_TENSORFLOW_DIR to a folder for them.\n',
    );
    expect(run(folder + show("folder.foundFolder('cpu')"))).to.equal('undefined\n');
  });
});
