/**
 * Takes libtensorflow and the CUDA libraries that it loads out of wheels for Python.
 *
 * The folders of the wheels stay, because the libraries find each other by paths relative to
 * themselves (`$ORIGIN/../nvidia/cudnn/lib`). So they need no LD_LIBRARY_PATH.
 */
import { existsSync } from 'node:fs';
import { readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { runPython } from '../tool.ts';

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
    'manylinux_2_25',
    'manylinux_2_24',
    'manylinux_2_17',
    'manylinux2014',
    'manylinux2010',
    'manylinux1',
  ].flatMap((tag) => ['--platform', `${tag}_x86_64`]),
];

/**
 * Unpacks libtensorflow, its C headers and NVIDIA's libraries from the wheels of a folder into
 * another, but only from those whose SHA-256 is in the list of requirements.
 */
const unpackWheels = `
import glob, hashlib, re, sys, zipfile
wheels, target, requirements = sys.argv[1:]
expected = set(re.findall('sha256:([0-9a-f]{64})', open(requirements).read()))
wanted = re.compile(r'tensorflow/(include/|libtensorflow_(cc|framework)\\.so)|nvidia/(?!.*/include/)(?!.*\\.a$)')
for path in sorted(glob.glob(wheels + '/*.whl')):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for chunk in iter(lambda: file.read(1 << 20), b''): digest.update(chunk)
    if digest.hexdigest() not in expected: continue
    expected.remove(digest.hexdigest())
    wheel = zipfile.ZipFile(path)
    wheel.extractall(target, [name for name in wheel.namelist() if wanted.match(name)])
if expected: sys.exit('error: ' + str(len(expected)) + ' wheels are missing or have another SHA-256')
`;

/**
 * Puts `tensorflow/` (and for `gpu` `nvidia/`) into `folder/site` with pip, which checks each
 * wheel's SHA-256. A second call does nothing.
 * @param folder A folder that exists. It holds the downloaded wheels until they are unpacked.
 * @throws When a wheel cannot be downloaded, or is another than the one of `requirements.ts`.
 */
export async function fetchTensorflow(
  folder: string,
  requirements: string[],
  log: (line: string) => void,
): Promise<void> {
  const site = join(folder, 'site');
  if (existsSync(site)) return;
  const wheels = join(folder, 'wheels');
  await makeFolder(wheels);
  const list = join(folder, 'requirements.txt');
  await writeFile(list, `${requirements.join('\n')}\n`);
  const names = requirements.map((line) => line.split(' ')[0]!);
  const size = names.length === 1 ? '274 MB' : '3.4 GB with the libraries of CUDA';
  log(`Downloading ${names.join(' ')} with pip (${size})`);
  await runPython(
    folder,
    ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', ...target],
    ...['--require-hashes', '--requirement', list, '--dest', wheels],
  );

  log('Unpacking the libraries and headers');
  const unpacking = join(folder, 'site.partial');
  await rm(unpacking, { recursive: true, force: true });
  await runPython(folder, '-c', unpackWheels, wheels, unpacking, list);
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
