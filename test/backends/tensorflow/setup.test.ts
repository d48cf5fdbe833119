/**
 * The state that `svd setup tensorflow` leaves when it stops half way, with stand-ins for npm, pip
 * and the compiler. The suite checks the real ones where it runs on the backend that they make
 * (`TEST_BACKEND=tensorflow`).
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { removeTensorflow, setUpTensorflow } from '../../../src/backends/index.ts';
import { linkCudaLibraries } from '../../../src/backends/tensorflow/wheels.ts';
import { StandIns } from '../../harness/standIns.ts';

describe('setUpTensorflow', () => {
  const at = new StandIns('SVD_TENSORFLOW_DIR');

  /** How the setup fails, or `done`. */
  async function outcome(options = {}): Promise<string> {
    return setUpTensorflow(options).then(
      () => 'done',
      (error: Error) => error.message,
    );
  }

  beforeEach(() => {
    at.put('npm', '[ "$1" = --version ] || mkdir -p node_modules/@tensorflow/tfjs-node');
    // The wheels' libraries come from `python3 -I -c SCRIPT WHEELS SITE REQUIREMENTS`.
    at.put('python3', '[ "$2" != -c ] || mkdir -p "$5/tensorflow/include"');
    at.put('g++', '[ "$1" = --version ] || { echo "fatal error: no such luck"; exit 1; }');
  });

  for (const [tool, remedy] of [
    ['npm', 'It comes with Node.'],
    ['python3', 'Install it, for instance by `apt-get install python3 python3-pip`.'],
    ['g++', 'Install it, for instance by `apt-get install g++`.'],
  ]) {
    it(`names ${tool} when that is missing`, async () => {
      rmSync(join(at.folder, 'bin', tool));
      process.env.PATH = join(at.folder, 'bin');
      expect(await outcome()).to.equal(
        `\`svd setup tensorflow\` needs ${tool}, which is not installed. ${remedy}`,
      );
      expect(at.kept()).to.deep.equal([]);
    });
  }

  it('names pip when python3 is without it', async () => {
    at.put('python3', '[ "$3" != pip ] || exit 1');
    expect(await outcome()).to.match(
      /^`svd setup tensorflow` needs pip for python3, which is not installed\. /,
    );
  });

  it('says why a program failed, and leaves nothing that looks complete', async () => {
    expect(await outcome()).to.match(
      /^`g\+\+ .+` failed \(exit code 1\): fatal error: no such luck$/,
    );
    expect(at.kept()).to.have.lengthOf(1);
    expect(at.kept()[0]).to.match(/-cpu\.partial$/);
  });

  it('takes up where it stopped', async () => {
    await outcome();
    const failed = (name: string) =>
      at.put(
        name,
        '[ "$1" = --version ] || [ "$4" = --version ] || { echo "error: called again"; exit 1; }',
      );
    failed('npm');
    failed('python3');
    expect(await outcome()).to.match(/no such luck$/);
  });

  it('refuses what does not compute', async () => {
    at.put('g++', 'for output; do :; done; [ "$1" = --version ] || echo not a library > "$output"');
    expect(await outcome()).to.match(
      /failed \(exit code 1\): .*(tfjs_binding\.node|file too short|invalid ELF)/i,
    );
    expect(at.kept()[0]).to.match(/-cpu\.partial$/);
  });

  it('runs Python isolated, in a folder of its own', async () => {
    at.put('python3', `[ "$1" = --version ] || echo "$1 $(pwd)" >> ${at.folder}/python`);
    await outcome();
    const runs = readFileSync(join(at.folder, 'python'), 'utf8').trim().split('\n');
    expect(runs).to.have.lengthOf(3);
    for (const run of runs) expect(run).to.match(/^-I (\/|.*-cpu\.partial)$/);
  });

  it('refuses a second call at the same time, and takes over from one that was killed', async () => {
    const [first, second] = await Promise.all([outcome(), outcome()]);
    expect([first, second].filter((text) => /no such luck/.test(text))).to.have.lengthOf(1);
    expect([first, second].find((text) => !/no such luck/.test(text))).to.match(
      /^Another `svd setup tensorflow` \(process \d+\) is at work\. Wait until .*-cpu\.lock if there is none\.$/,
    );
    const lock = join(at.folder, 'data', at.kept()[0]!.replace('.partial', '.lock'));
    writeFileSync(lock, `999999999 ${hostname()}`);
    expect(await outcome()).to.match(/no such luck$/);
    expect(at.kept()).to.have.lengthOf(1);
  });

  it('asks for another folder when it cannot write', async () => {
    process.env.SVD_TENSORFLOW_DIR = join(at.folder, 'bin', 'npm', 'data');
    expect(await outcome()).to.match(
      /^\/.+ cannot be made \(.+\)\. Set SVD_TENSORFLOW_DIR to another folder\.$/,
    );
  });

  it('is undone by removeTensorflow', async () => {
    await outcome();
    await outcome({ gpu: true });
    expect(await removeTensorflow({ gpu: true })).to.have.lengthOf(1);
    expect(at.kept()).to.have.lengthOf(1);
    writeFileSync(join(at.folder, 'data', 'kernel-choices.json'), '{}');
    expect(await removeTensorflow()).to.have.lengthOf(1);
    expect(existsSync(join(at.folder, 'data'))).to.equal(false);
    expect(await removeTensorflow()).to.deep.equal([]);
  });
});

describe('linkCudaLibraries', () => {
  it('makes every library reachable from the folder of the runtime, and nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svd-'));
    for (const [part, ...files] of [
      ['cuda_runtime', 'libcudart.so.12'],
      ['cusolver', 'libcusolver.so.11', 'libcusolverMg.so.11'],
      ['cudnn', 'libcudnn.so.9', '__init__.py'],
      ['nccl', 'libnccl.so.2', 'libnccl_device.bc'],
    ]) {
      mkdirSync(join(folder, part!, 'lib'), { recursive: true });
      for (const file of files) writeFileSync(join(folder, part!, 'lib', file), file);
    }
    mkdirSync(join(folder, 'cuda_nvcc', 'bin'), { recursive: true });
    for (const time of ['first', 'second']) {
      await linkCudaLibraries(folder);
      const lib = join(folder, 'cuda_runtime', 'lib');
      const found = readdirSync(lib).map((file) => [file, readFileSync(join(lib, file), 'utf8')]);
      const expected = [
        'libcudart.so.12',
        'libcudnn.so.9',
        'libcusolver.so.11',
        'libcusolverMg.so.11',
        'libnccl.so.2',
      ];
      expect(found.sort(), time).to.deep.equal(expected.map((file) => [file, file]));
    }
    rmSync(folder, { recursive: true });
  });

  it('leaves a TensorFlow without CUDA alone', () => linkCudaLibraries('/nonexistent'));
});
