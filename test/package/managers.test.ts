/**
 * The packed package in empty projects of several package managers and in Deno. Those that the
 * registry does not give are left out.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isWithoutNetwork, NAME, pack, root, run } from './pack.ts';

/** How a package manager adds a package. */
interface Manager {
  /** Its package, and the file in it that runs it. Without them: the npm that is there. */
  npm?: string;
  program?: string;
  add: string[];
  /** What an empty project has besides its `package.json`. */
  files?(registry: string): Record<string, string>;
}

const managers: Record<string, Manager> = {
  npm: { add: ['install', '--no-audit', '--no-fund', '--prefer-offline'] },
  pnpm: { npm: 'pnpm@12.21.0', program: 'pnpm', add: ['add'] },
  'yarn, classic': { npm: 'yarn@1.22.22', program: 'yarn', add: ['add'] },
  yarn: {
    npm: '@yarnpkg/cli-dist@4.18.1',
    program: 'yarn',
    add: ['add'],
    files: (registry) => ({
      '.yarnrc.yml': `nodeLinker: node-modules\nnpmRegistryServer: ${JSON.stringify(registry)}\n`,
      'yarn.lock': '', // or it takes the folder for a part of a project around it
    }),
  },
  bun: { npm: 'bun@1.4.5', program: 'bun', add: ['add'] },
};

const WARNING = /warn|deprecated|doesn't provide|unmet|incorrectly met|ignored|blocked/i;

describe('the packed package @slow, with', () => {
  let folder: string;
  let tarball: string;
  let env: NodeJS.ProcessEnv;
  before(async function () {
    if (process.platform === 'win32') this.skip();
    folder = mkdtempSync(join(tmpdir(), 'svd-managers-'));
    ({ tarball } = await pack());
    // Without what the user has set up, and without npm's own settings for the scripts that it
    // runs.
    const others = Object.entries(process.env).filter(([name]) => !/^npm_(?!config_)/.test(name));
    env = {
      ...Object.fromEntries(others),
      SVD_TENSORFLOW_DIR: join(folder, 'nothing'),
      // Yarn's own cache has other tarballs of the same version.
      YARN_CACHE_FOLDER: join(folder, 'yarn-cache'),
      YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** The path of a program of a package, or undefined if the registry does not give it. */
  async function programOf(npm: string, program: string): Promise<string | undefined> {
    const at = join(folder, 'tools', program + npm.replace(/\W/g, '-'));
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'package.json'), '{}');
    const path = join(at, 'node_modules/.bin', program);
    try {
      await run('npm', ['install', npm, '--no-audit', '--no-fund'], { cwd: at, env });
      await run(path, ['--version'], { cwd: at, env });
      return path;
    } catch {
      return undefined;
    }
  }

  const generate = (output: string) => [
    ...['generate', `node_modules/${NAME}/examples/pictures/rocket.jpg`, '--output', output],
    ...['--backend', 'wasm', '--num-inference-steps', '1', '--num-frames', '2'],
  ];

  for (const [name, { npm, program, add, files }] of Object.entries(managers)) {
    it(`${name} installs without a warning of ours, and makes a video`, async function () {
      const found = npm === undefined ? 'npm' : await programOf(npm, program!);
      if (found === undefined) {
        this.test!.title += ` (left out: ${npm} cannot be had)`;
        this.skip();
      }
      const project = join(folder, name.replace(/\W/g, '-'));
      mkdirSync(project);
      const manifest = { name: 'empty', version: '1.0.0', license: 'MIT', private: true };
      writeFileSync(join(project, 'package.json'), JSON.stringify(manifest));
      const { stdout } = await run('npm', ['config', 'get', 'registry'], { cwd: project, env });
      for (const [file, text] of Object.entries(files?.(stdout.trim()) ?? {}))
        writeFileSync(join(project, file), text);
      const said = await run(found, [...add, tarball], { cwd: project, env, maxBuffer: 2 ** 24 })
        .then((both) => both.stdout + both.stderr)
        .catch((error) => {
          if (isWithoutNetwork(error)) this.skip();
          throw new Error(`${error.message}\n${error.stdout}`);
        });
      const ours = said.split('\n').filter((line) => line.includes(NAME) && WARNING.test(line));
      expect(ours).to.deep.equal([]);
      await run(join(project, 'node_modules/.bin/svd'), generate('a.gif'), { cwd: project, env });
      expect(existsSync(join(project, 'a.gif'))).to.equal(true);
    });
  }

  it('npm brings no TensorFlow and no WebGPU of its own', function () {
    const packages = join(folder, 'npm/node_modules');
    if (!existsSync(packages)) this.skip();
    expect(readdirSync(packages)).to.not.include('webgpu');
    expect(readdirSync(join(packages, '@tensorflow')).join()).to.not.match(/node|webgpu/);
  });

  it('svd setup webgpu brings it, from any project', async function () {
    const project = join(folder, 'npm');
    const svd = join(project, `node_modules/.bin/svd`);
    if (!existsSync(svd)) this.skip();
    const own = {
      ...env,
      SVD_TENSORFLOW_DIR: join(folder, 'set-up'),
      npm_config_prefer_offline: '1',
    };
    const { stdout } = await run(svd, ['setup', 'webgpu'], { cwd: project, env: own });
    expect(stdout.trim().split('\n').at(-1)).to.match(/^Done: (installed, but|.* on) /);
    const reports = await run(svd, ['backends', '--json'], { cwd: project, env: own });
    const webgpu = JSON.parse(reports.stdout).find(
      ({ name }: { name: string }) => name === 'webgpu',
    );
    if (!webgpu.available) expect(webgpu.reason).to.match(/is unusable \(.+\)/);
  });

  it('Deno makes a video on one thread', async function () {
    const project = join(folder, 'npm');
    if (!existsSync(join(project, 'node_modules'))) this.skip();
    const deno = await programOf('deno@2.9.6', 'deno');
    if (deno === undefined) {
      this.test!.title += ' (left out: deno cannot be had)';
      this.skip();
    }
    const main = `node_modules/${NAME}/dist/src/cli/main.js`;
    const args = ['run', '-A', main, ...generate('deno.gif'), '--threads', '2'];
    const { stderr } = await run(deno!, args, { cwd: project, env });
    expect(stderr).to.contain('It runs on one thread');
    expect(existsSync(join(project, 'deno.gif'))).to.equal(true);
  });
});

describe('npm ci in a checkout @slow', () => {
  it('finds a lockfile without tfjs-node', async () => {
    const { default: lock } = await import(`${root}package-lock.json`, { with: { type: 'json' } });
    const names = Object.keys(lock.packages);
    expect(names.filter((name) => /tfjs-node|huggingface/.test(name))).to.deep.equal([]);
  });
});
