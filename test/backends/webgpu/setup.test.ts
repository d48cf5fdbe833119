/**
 * `svd setup webgpu` with a stand-in for npm, which copies packages of the same form.
 * `test/package` runs it with the real ones.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { removeWebgpu, setUpWebgpu } from '../../../src/backends/index.ts';
import { webgpuPackages } from '../../../src/backends/webgpu/packages.ts';
import { StandIns } from '../../harness/standIns.ts';

describe('setUpWebgpu', () => {
  before(function () {
    if (process.platform === 'win32') this.skip();
  });
  const at = new StandIns('SVD_TENSORFLOW_DIR');
  const path = (name: string) => at.path(name);

  /** Puts a script in the place of npm, whose packages are as this Dawn and this backend. */
  function standIn(dawn: string, backend: string): void {
    mkdirSync(path('given/webgpu'), { recursive: true });
    mkdirSync(path('given/@tensorflow/tfjs-backend-webgpu'), { recursive: true });
    writeFileSync(path('given/webgpu/package.json'), '{ "version": "0", "type": "module" }');
    writeFileSync(path('given/webgpu/index.js'), dawn);
    const manifest = '{ "version": "0", "main": "main.js" }';
    writeFileSync(path('given/@tensorflow/tfjs-backend-webgpu/package.json'), manifest);
    writeFileSync(path('given/@tensorflow/tfjs-backend-webgpu/main.js'), backend);
    const script = `[ "$1" = --version ] || cp -r ${path('given')} node_modules`;
    at.put('npm', script);
  }

  async function outcome(): Promise<string> {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line.replaceAll(at.folder, ''));
    return setUpWebgpu({ log }).then(
      () => lines.at(-1)!,
      (error: Error) => error.message.replaceAll(at.folder, ''),
    );
  }

  const { VK_ICD_FILENAMES: drivers } = process.env;
  before(() => {
    process.env.VK_ICD_FILENAMES = '/nonexistent.json';
  });
  after(() => {
    if (drivers === undefined) delete process.env.VK_ICD_FILENAMES;
    else process.env.VK_ICD_FILENAMES = drivers;
  });

  it('gives npm the hash of each package and runs no scripts', async () => {
    standIn('export const globals = {}; export const create = () => ({ requestAdapter() {} })', '');
    expect(await outcome()).to.equal('Done: installed, but no graphics adapter was found');
    const calls = readFileSync(path('calls'), 'utf8');
    expect(calls).to.match(/^npm ci --ignore-scripts .*--prefix \/.*\.partial$/m);
    const { dawn, backend } = webgpuPackages();
    expect(backend).to.equal(join(dawn!, '../@tensorflow/tfjs-backend-webgpu'));
    const lock = JSON.parse(readFileSync(join(dawn!, '../../package-lock.json'), 'utf8'));
    const { '': root, ...pinned } = lock.packages as Record<string, { integrity: string }>;
    expect(Object.keys(pinned)).to.deep.equal([
      'node_modules/webgpu',
      'node_modules/@tensorflow/tfjs-backend-webgpu',
    ]);
    for (const { integrity } of Object.values(pinned))
      expect(integrity).to.match(/^sha512-[\w+/]{86}==$/);
    expect(root).to.have.property('dependencies');

    expect(await outcome()).to.match(/^Already set up in \/data\/webgpu-.*: installed, but no/);
    expect(await removeWebgpu()).to.have.lengthOf(1);
    expect(existsSync(path('data'))).to.equal(false);
  });

  it("loads the backend with this program's TensorFlow.js", async () => {
    standIn(
      'export const globals = {}; export const create = () => ({ requestAdapter() {} })',
      "require('@tensorflow/tfjs-core').engine()", // there is none beside that package
    );
    expect(await outcome()).to.match(/^Done/);
  });

  it('leaves nothing that looks complete where Dawn cannot be loaded', async () => {
    standIn("throw new Error('wrong ELF class')", '');
    expect(await outcome()).to.match(/failed \(exit code 1\): .*wrong ELF class/);
    expect(readdirSync(path('data'))).to.have.lengthOf(1);
    expect(readdirSync(path('data'))[0]).to.match(/\.partial$/);
  });

  it('says why npm refused a package', async () => {
    const npm = `#!/bin/sh
      [ "$1" != --version ] || exit 0
      echo 'npm error code EINTEGRITY' >&2
      echo 'npm error sha512-a integrity checksum failed' >&2
      echo 'npm error A complete log of this run can be found in: /x' >&2
      exit 1`;
    writeFileSync(path('bin/npm'), npm);
    chmodSync(path('bin/npm'), 0o755);
    expect(await outcome()).to.match(/failed \(exit code 1\): npm error .*checksum failed$/);
    expect(readdirSync(path('data')).join()).to.match(/^[^,]*\.partial$/);
  });

  it('names npm when that is missing', async () => {
    process.env.PATH = path('bin');
    expect(await outcome()).to.equal(
      '`svd setup webgpu` needs npm, which is not installed. It comes with Node.',
    );
    expect(existsSync(path('data'))).to.equal(false);
  });

  it('refuses a second call at the same time', async () => {
    standIn('export const globals = {}; export const create = () => ({ requestAdapter() {} })', '');
    const ends = await Promise.all([outcome(), outcome()]);
    expect(ends.filter((text) => text.startsWith('Done'))).to.have.lengthOf(1);
    expect(ends.find((text) => !text.startsWith('Done'))).to.match(
      /^Another `svd setup webgpu` \(process \d+\) is at work\. /,
    );
  });
});
