/**
 * `svd setup tensorflow --gpu` from end to end with stand-ins: wheels of a few bytes from a package
 * index that is a folder, a compiler that compiles nothing, and a tfjs-node that computes in
 * JavaScript. Unpacking and linking are the real ones.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
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
    [`tensorflow-${tensorflowVersion}.dist-info/METADATA`]: [
      'Name: tensorflow',
      'Requires-Dist: numpy>=1.26.0',
      'Requires-Dist: nvidia-cuda-runtime-cu12<13.0,>=12.5.82; extra == "and-cuda"',
      "Requires-Dist: nvidia-cusolver-cu12<12.0,>=11.6.3.83 ; (sys_platform == 'linux') and " +
        "extra == 'and-cuda'",
      'Requires-Dist: tensorflow-gcs; extra == "gcs-filesystem"',
      '',
    ].join('\n'),
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
tf.copyRegisteredKernels('cpu', 'tensorflow');
tf.registerBackend('tensorflow', () => {
  const Cpu = tf.findBackend('cpu').constructor;
  return Object.assign(new Cpu(), { isUsingGpuDevice: false, binding: { TF_Version: '${tensorflowVersion}' } });
});
`;

const writeWheels = `
import json, sys, zipfile
for name, files in json.load(sys.stdin).items():
    with zipfile.ZipFile(sys.argv[1] + '/' + name, 'w') as wheel:
        for path, text in files.items(): wheel.writestr(path, text)
`;

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
  let environment: Record<string, string | undefined>;

  const path = (name: string) => join(folder, name);

  /**
   * Puts a shell script in the place of a program. Its arguments are noted, a line for each call.
   */
  function standIn(name: string, script: string): void {
    writeFileSync(
      path(`bin/${name}`),
      `#!/bin/sh\necho "${name} $*" >> ${folder}/calls\n${script}\n`,
    );
    chmodSync(path(`bin/${name}`), 0o755);
  }

  const calls = (start: string) =>
    readFileSync(path('calls'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith(start));

  async function setUp(gpu: boolean): Promise<{ at: string; lines: string[] }> {
    const lines: string[] = [];
    return { at: await setUpTensorflow({ gpu, log: (line) => lines.push(line) }), lines };
  }

  before(function () {
    if (!python || process.platform !== 'linux' || process.arch !== 'x64') this.skip();
  });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svd-'));
    for (const name of ['bin', 'index', 'tfjs-node']) mkdirSync(path(name));
    execFileSync(python!, ['-c', writeWheels, path('index')], { input: JSON.stringify(wheels) });
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
    // Of `pip download`, the requirements come after --dest FOLDER; a wheel is found by its name,
    // which ends where its versions begin.
    standIn(
      'python3',
      `[ "$3" = download ] || exec ${python} "$@"
      while [ "$1" != --dest ]; do shift; done
      to="$2"; shift 2
      for wanted; do cp ${path('index')}/$(echo "$wanted" | sed 's/[<>=! ].*//; s/-/_/g')-* "$to" || exit 1; done`,
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
    'takes the build for cards and the libraries that its metadata names, and says what it ' +
      'computes on',
    async () => {
      const { at, lines } = await setUp(true);
      expect(at).to.equal(
        path(`data/tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-gpu`),
      );
      const requirements =
        'nvidia-cuda-runtime-cu12<13.0,>=12.5.82 nvidia-cusolver-cu12<12.0,>=11.6.3.83';
      const downloads = calls('python3 -m pip download');
      expect(downloads.map((line) => line.replace(/^.* --dest \S+ /, ''))).to.deep.equal([
        `tensorflow==${tensorflowVersion}`,
        requirements,
      ]);
      for (const line of downloads) {
        expect(line)
          .to.contain('--no-deps --only-binary=:all: --python-version 3.12 ')
          .and.contain('--platform manylinux2014_x86_64');
      }
      expect(lines).to.deep.equal([
        `Setting up in ${at}`,
        `Installing @tensorflow/tfjs-node ${tfjsNodeVersion} with npm, without its install script`,
        `Downloading tensorflow ${tensorflowVersion} with pip (573 MB)`,
        `Downloading the CUDA libraries it names with pip (about 2.5 GB): ${requirements}`,
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
      expect(calls('python3 -m pip download')).to.have.lengthOf(2);
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
    expect(calls('python3 -m pip download').map((line) => line.split(' ').at(-1))).to.deep.equal([
      `tensorflow-cpu==${tensorflowVersion}`,
    ]);
    expect(filesIn(join(at, 'site'))).to.deep.equal([
      'tensorflow/libtensorflow_cc.so.2',
      'tensorflow/libtensorflow_framework.so.2',
    ]);
    expect(lines.at(-1)).to.equal(
      `Done: tfjs-node ${tfjsNodeVersion} (TensorFlow ${tensorflowVersion}) on ${processorName()}`,
    );
  });

  it('says which library the index does not have, and goes on from there', async () => {
    const missing = path('index/nvidia_cusolver_cu12-11.7.5-py3-none-manylinux2014_x86_64.whl');
    const wheel = readFileSync(missing);
    rmSync(missing);
    const refusal = await setUp(true).then(
      () => 'done',
      (error: Error) => error.message,
    );
    expect(refusal).to.match(
      /^`python3 -m pip download \.\.\.` failed \(exit code 1\): cp: .*nvidia_cusolver_cu12/,
    );
    expect(readdirSync(path('data'))).to.deep.equal([
      `tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-gpu.partial`,
    ]);
    writeFileSync(missing, wheel);
    expect((await setUp(true)).lines.at(-1)).to.equal(`Done: ${onProcessor}`);
    expect(calls('npm install'), 'what was done already').to.have.lengthOf(1);
  });
});
