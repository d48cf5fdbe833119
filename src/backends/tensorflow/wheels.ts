/**
 * Takes libtensorflow and the CUDA libraries that it loads out of wheels for Python.
 *
 * The folders of the wheels stay, because the libraries find each other by paths relative to
 * themselves (`$ORIGIN/../nvidia/cudnn/lib`). So they need no LD_LIBRARY_PATH.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../tool.ts';
import { type TensorflowVariant, tensorflowVersion } from './folder.ts';

/**
 * Options for pip. The wheels hold the same libraries for every Python, so TensorFlow need not
 * support the installed one.
 */
const target = [
  ...[
    '--python-version',
    '3.12',
    '--implementation',
    'cp',
    '--abi',
    'cp312',
    '--abi',
    'abi3',
    '--abi',
    'none',
  ],
  ...[
    'manylinux_2_28',
    'manylinux_2_27',
    'manylinux_2_24',
    'manylinux_2_17',
    'manylinux2014',
    'manylinux1',
  ].flatMap((tag) => ['--platform', `${tag}_x86_64`]),
];

const packages: Record<TensorflowVariant, string> = { cpu: 'tensorflow-cpu', gpu: 'tensorflow' };

/** Prints the requirements `[and-cuda]` of the wheels of a folder, one per line. */
const listCudaRequirements = `
import glob, re, sys, zipfile
for path in glob.glob(sys.argv[1] + '/tensorflow-*.whl'):
    wheel = zipfile.ZipFile(path)
    metadata = next(name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    for line in wheel.read(metadata).decode().splitlines():
        match = re.match(r'Requires-Dist: ([^;]+);.*extra == .and-cuda.', line)
        if match: print(match.group(1).strip())
`;

/**
 * Unpacks libtensorflow, its C headers and NVIDIA's libraries from every wheel of a folder into
 * another.
 */
const unpackWheels = `
import glob, re, sys, zipfile
wanted = re.compile(r'tensorflow/(include/|libtensorflow_(cc|framework)\\.so)|nvidia/(?!.*/include/)(?!.*\\.a$)')
for path in sorted(glob.glob(sys.argv[1] + '/*.whl')):
    wheel = zipfile.ZipFile(path)
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if wanted.match(name)])
`;

/**
 * Puts `tensorflow/` (and for `gpu` `nvidia/`) into `folder/site` with pip. A second call does
 * nothing.
 * @param folder A folder that exists. It holds the downloaded wheels until they are unpacked.
 */
export async function fetchTensorflow(
  folder: string,
  variant: TensorflowVariant,
  log: (line: string) => void,
): Promise<void> {
  const site = join(folder, 'site');
  if (existsSync(site)) return;
  const wheels = join(folder, 'wheels');
  await mkdir(wheels, { recursive: true });
  const download = (requirements: string[]) =>
    runTool('python3', [
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      ...target,
      '--dest',
      wheels,
      ...requirements,
    ]);

  log(
    `Downloading ${packages[variant]} ${tensorflowVersion} with pip ` +
      `(${variant === 'cpu' ? '274' : '573'} MB)`,
  );
  await download([`${packages[variant]}==${tensorflowVersion}`]);
  if (variant === 'gpu') {
    const requirements = (await runTool('python3', ['-c', listCudaRequirements, wheels]))
      .split('\n')
      .filter((line) => line !== '');
    log(
      `Downloading the CUDA libraries it names with pip (about 2.5 GB): ${requirements.join(' ')}`,
    );
    await download(requirements);
  }

  log('Unpacking the libraries and headers');
  const unpacking = join(folder, 'site.partial');
  await rm(unpacking, { recursive: true, force: true });
  await runTool('python3', ['-c', unpackWheels, wheels, unpacking]);
  await linkCudaLibraries(join(unpacking, 'nvidia'));
  await rename(unpacking, site);
  await rm(wheels, { recursive: true });
}

/**
 * Links every CUDA library into one folder where libtensorflow looks. libtensorflow_framework,
 * which loads them, does not look where cuSOLVER is, and without cuSOLVER TensorFlow uses no card.
 * The links are as deep as their targets, so that the libraries' own relative paths hold.
 */
export async function linkCudaLibraries(nvidia: string): Promise<void> {
  const reachable = join(nvidia, 'cuda_runtime', 'lib');
  if (!existsSync(reachable)) return;
  for (const part of await readdir(nvidia)) {
    const folder = join(nvidia, part, 'lib');
    for (const file of existsSync(folder) ? await readdir(folder) : []) {
      if (!/^lib.+\.so(\.|$)/.test(file) || existsSync(join(reachable, file))) continue;
      await symlink(join('..', '..', part, 'lib', file), join(reachable, file));
    }
  }
}
