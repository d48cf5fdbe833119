/**
 * `svd setup tensorflow --gpu` from end to end with stand-ins: wheels of a few bytes from a package
 * index that is a folder, a compiler that compiles nothing, and a tfjs-node that computes in
 * JavaScript. Unpacking and linking are the real ones.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { setUpTensorflow } from '../../../src/backends/index.ts';
import { processorName } from '../../../src/backends/packages.ts';
import { tensorflowVersion, tfjsNodeVersion } from '../../../src/backends/tensorflow/folder.ts';

/** The wheels of the index by file name: what each holds. */
const wheels: Record<string, Record<string, string>> = {
  [`tensorflow-${tensorflowVersion}-cp312-cp312-manylinux_2_17_x86_64.whl`]: {
    'tensorflow/libtensorflow_cc.so.2': 'cc',
    'tensorflow/libtensorflow_framework.so.2': 'framework',
    'tensorflow/include/tensorflow/c/c_api.h': 'header',
    'tensorflow/python/eager.py': 'unwanted',
  },
  'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_17_x86_64.whl': {
    'tensorflow/libtensorflow_cc.so.2': 'cc',
    'tensorflow/libtensorflow_framework.so.2': 'framework',
    'tensorflow/include/tensorflow/c/c_api.h': 'header',
  },
  'nvidia_cuda_runtime_cu12-12.9.1-py3-none-manylinux2014_x86_64.whl': {
    'nvidia/cuda_runtime/lib/libcudart.so.12': 'cudart',
    'nvidia/cuda_runtime/lib/libcudart_static.a': 'unwanted',
    'nvidia/cuda_runtime/include/cuda.h': 'unwanted',
  },
  'nvidia_cusolver_cu12-11.7.5-py3-none-manylinux2014_x86_64.whl': {
    'nvidia/cusolver/lib/libcusolver.so.11': 'cusolver',
  },
  'tensorflow_gcs-1.0-py3-none-any.whl': { 'tensorflow/libtensorflow_cc.so.3': 'unwanted' },
};

/** tfjs-node without a card: kernels of JavaScript under its name. */
const tfjsNode = `
const tf = require('@tensorflow/tfjs');
require(${JSON.stringify(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-cpu'))});
tf.copyRegisteredKernels('cpu', 'tensorflow');
tf.registerBackend('tensorflow', () => {
  const Cpu = tf.findBackend('cpu').constructor;
  return Object.assign(new Cpu(), { isUsingGpuDevice: false, binding: { TF_Version: '${tensorflowVersion}' } });
});
`;

/** Writes the wheels into a folder, and prints the SHA-256 of each. */
const writeWheels = `
import hashlib, json, sys, zipfile
for name, files in json.load(sys.stdin).items():
    path = sys.argv[1] + '/' + name
    with zipfile.ZipFile(path, 'w') as wheel:
        for file, text in files.items(): wheel.writestr(file, text)
    print(name, hashlib.sha256(open(path, 'rb').read()).hexdigest())
`;

import { putProgram } from '../../harness/standIns.ts';

/** The wheels that each variant requires. */
const required = {
  cpu: ['tensorflow_cpu-2.21.0'],
  gpu: [
    `tensorflow-${tensorflowVersion}`,
    'nvidia_cuda_runtime_cu12-12.9.1',
    'nvidia_cusolver_cu12-11.7.5',
  ],
};

const python = (() => {
  try {
    return execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
      encoding: 'utf8',
    }).trim();
  } catch {
    return undefined;
  }
})();

describe('setUpTensorflow for graphics cards', () => {
  const names = [
    'PATH',
    'SVD_TENSORFLOW_DIR',
    'CUDA_VISIBLE_DEVICES',
    'NODE_OPTIONS',
    'LD_LIBRARY_PATH',
  ] as const;
  let folder: string;
  /** The wheels of the index with their SHA-256. */
  let hashes: string[][];
  let environment: Record<string, string | undefined>;

  const path = (name: string) => join(folder, name);

  const standIn = (name: string, script: string) => putProgram(folder, name, script);

  const calls = (start: string) =>
    readFileSync(path('calls'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith(start));

  async function setUp(gpu: boolean): Promise<{ at: string; lines: string[] }> {
    const lines: string[] = [];
    const requirements = required[gpu ? 'gpu' : 'cpu'].map((wheel) => {
      const [name, version] = wheel.split('-');
      const [, hash] = hashes.find(([file]) => file!.startsWith(`${wheel}-`))!;
      return `${name!.replaceAll('_', '-')}==${version} --hash=sha256:${hash}`;
    });
    const log = (line: string) => lines.push(line);
    return { at: await setUpTensorflow({ gpu, log, requirements }), lines };
  }

  before(function () {
    if (!python || process.platform !== 'linux' || process.arch !== 'x64') this.skip();
  });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svd-'));
    for (const name of ['bin', 'index', 'tfjs-node']) mkdirSync(path(name));
    hashes = execFileSync(python!, ['-c', writeWheels, path('index')], {
      input: JSON.stringify(wheels),
      encoding: 'utf8',
    })
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    writeFileSync(
      path('tfjs-node/package.json'),
      JSON.stringify({ name: '@tensorflow/tfjs-node', version: tfjsNodeVersion, main: 'index.js' }),
    );
    writeFileSync(path('tfjs-node/index.js'), tfjsNode);
    // Node would refuse the addon, which is a text.
    writeFileSync(
      path('addon.mjs'),
      `import Module from 'node:module';\nModule._extensions['.node'] = (module) => { ` +
        'module.exports = {}; };\n',
    );
    standIn(
      'npm',
      '[ "$1" = --version ] || { mkdir -p node_modules/@tensorflow && cp -r ' +
        `${path('tfjs-node')} node_modules/@tensorflow/; }`,
    );
    // pip takes every wheel of the list, by the name that ends where its version begins.
    standIn(
      'python3',
      `[ "$4" = download ] || exec ${python} "$@"
      while [ "$1" != --requirement ]; do shift; done
      for wanted in $(sed 's/==.*//; s/-/_/g' "$2"); do
        cp ${path('index')}/$wanted-* "$4" || exit 1
      done`,
    );
    standIn('g++', '[ "$1" = --version ] || { for output; do :; done; echo addon > "$output"; }');
    environment = Object.fromEntries(names.map((name) => [name, process.env[name]]));
    process.env.PATH = `${path('bin')}:/usr/bin:/bin`;
    process.env.SVD_TENSORFLOW_DIR = path('data');
    process.env.CUDA_VISIBLE_DEVICES = '-1';
    process.env.NODE_OPTIONS = `--import ${pathToFileURL(path('addon.mjs')).href}`;
    delete process.env.LD_LIBRARY_PATH;
  });

  afterEach(() => {
    for (const [name, value] of Object.entries(environment)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(folder, { recursive: true });
  });

  const onProcessor =
    `tfjs-node ${tfjsNodeVersion} (TensorFlow ${tensorflowVersion}) on ${processorName()}. ` +
    'It computes on the processor, because CUDA_VISIBLE_DEVICES is "-1", which hides every card.';

  /** Every file and link below a folder. */
  const filesIn = (at: string) =>
    (readdirSync(at, { recursive: true }) as string[])
      .filter((name) => !lstatSync(join(at, name)).isDirectory())
      .sort();

  it(
    'takes the build for cards and the libraries that it requires, and says what it ' +
      'computes on',
    async () => {
      const { at, lines } = await setUp(true);
      expect(at).to.equal(
        path(`data/tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-gpu`),
      );
      const downloads = calls('python3 -I -m pip download');
      expect(downloads).to.have.lengthOf(1);
      expect(downloads[0])
        .to.contain('--no-deps --only-binary=:all: --python-version 3.12 ')
        .and.contain('--platform manylinux2014_x86_64')
        .and.contain('--require-hashes');
      const names = required.gpu.map((wheel) => wheel.replace('-', '==').replaceAll('_', '-'));
      expect(lines).to.deep.equal([
        `Setting up in ${at}`,
        `Installing @tensorflow/tfjs-node ${tfjsNodeVersion} with npm, without its install script`,
        `Downloading ${names.join(' ')} with pip (3.4 GB with the libraries of CUDA)`,
        'Unpacking the libraries and headers',
        `Compiling its addon against TensorFlow ${tensorflowVersion}`,
        'Multiplying two matrices',
        `Done: ${onProcessor}`,
      ]);
      expect(filesIn(join(at, 'site'))).to.deep.equal([
        'nvidia/cuda_runtime/lib/libcudart.so.12',
        'nvidia/cuda_runtime/lib/libcusolver.so.11',
        'nvidia/cusolver/lib/libcusolver.so.11',
        'tensorflow/libtensorflow_cc.so.2',
        'tensorflow/libtensorflow_framework.so.2',
      ]);
      expect(existsSync(join(at, 'wheels')), 'wheels that are unpacked').to.equal(false);
      expect(readdirSync(path('data')), 'besides it').to.have.lengthOf(1);

      const again = await setUp(true);
      expect(again).to.deep.equal({ at, lines: [`Already set up in ${at}: ${onProcessor}`] });
      expect(calls('python3 -I -m pip download')).to.have.lengthOf(1);
    },
  );

  it('links libraries so that they are found without LD_LIBRARY_PATH, wherever the folder is', async () => {
    const { at } = await setUp(true);
    const compiled = calls('g++').find((line) => line.includes('-shared'))!;
    const searched = /-Wl,-rpath,(\S+)/.exec(compiled)![1]!;
    expect(searched).to.match(/^\$ORIGIN\//);
    const addon = join(at, 'node_modules', '@tensorflow', 'tfjs-node', 'lib', 'napi-v8');
    expect(existsSync(join(addon, 'tfjs_binding.node'))).to.equal(true);
    const libraries = resolve(addon, searched.replace('$ORIGIN/', ''));
    expect(libraries).to.equal(join(at, 'site', 'tensorflow'));
    for (const name of compiled.match(/-l:(\S+)/g)!)
      expect(existsSync(join(libraries, name.slice(3))), name).to.equal(true);
    // It was made under another name: a link by its whole path would lead nowhere now.
    const reached = realpathSync(
      join(at, 'site', 'nvidia', 'cuda_runtime', 'lib', 'libcusolver.so.11'),
    );
    expect(reached).to.equal(
      realpathSync(at) + ['', 'site', 'nvidia', 'cusolver', 'lib', 'libcusolver.so.11'].join(sep),
    );
  });

  it('for processors takes the smaller build and no library of CUDA', async () => {
    const { at, lines } = await setUp(false);
    expect(lines).to.contain('Downloading tensorflow-cpu==2.21.0 with pip (274 MB)');
    expect(filesIn(join(at, 'site'))).to.deep.equal([
      'tensorflow/libtensorflow_cc.so.2',
      'tensorflow/libtensorflow_framework.so.2',
    ]);
    expect(lines.at(-1)).to.equal(
      `Done: tfjs-node ${tfjsNodeVersion} (TensorFlow ${tensorflowVersion}) on ${processorName()}`,
    );
  });

  it('does not link a wheel that is not the required one @slow', async () => {
    const wheel = path('index/tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_17_x86_64.whl');
    const good = readFileSync(wheel);
    writeFileSync(wheel, Buffer.concat([good, Buffer.from('!')]));
    expect(await setUp(false).catch(String)).to.match(
      /1 wheels are missing or have another SHA-256/,
    );
    expect(calls('g++').filter((line) => line.includes('-shared'))).to.deep.equal([]);
    writeFileSync(wheel, good);
    expect((await setUp(false)).lines.at(-1)).to.match(/^Done/);
  });

  it('says which library the index does not have, and goes on from there @slow', async () => {
    const missing = path('index/nvidia_cusolver_cu12-11.7.5-py3-none-manylinux2014_x86_64.whl');
    const wheel = readFileSync(missing);
    rmSync(missing);
    const refusal = await setUp(true).then(
      () => 'done',
      (error: Error) => error.message,
    );
    expect(refusal).to.match(
      /^`python3 -I -m pip download \.\.\.` failed \(exit code 1\): cp: .*nvidia_cusolver_cu12/,
    );
    expect(readdirSync(path('data'))).to.deep.equal([
      `tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-gpu.partial`,
    ]);
    writeFileSync(missing, wheel);
    expect((await setUp(true)).lines.at(-1)).to.equal(`Done: ${onProcessor}`);
    expect(calls('npm ci'), 'what was done already').to.have.lengthOf(1);
  });
});
