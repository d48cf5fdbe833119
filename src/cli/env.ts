/** `svd env`: what a report of a fault has to say of the machine, without secrets. */
import { availableParallelism, cpus, freemem, release, totalmem } from 'node:os';
import { listBackends } from '../backends/list.ts';
import { folderOf, versionIn } from '../backends/packages.ts';
import { MissingTool, runTool } from '../backends/tool.ts';
import { hubSettings } from '../checkpoints/hub/environment.ts';
import { shownAddress } from '../text/addresses.ts';
import { formatBytes } from '../text/bytes.ts';
import { firstLineOf } from '../text/messages.ts';
import { jsonOption, subcommand } from './terminal/command.ts';
import { print } from './terminal/print.ts';
import { version } from './version.ts';

/** Variables that change what is done, whose values may be shown. */
const SHOWN =
  /^(SVD_\w+|HF_(HOME|HUB_\w+|ENDPOINT|TOKEN_PATH)|XDG_(CACHE|DATA)_HOME|CUDA_VISIBLE_DEVICES|TF_(?!CLI_)\w+|OMP_NUM_THREADS|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|NODE_EXTRA_CA_CERTS)$/i;
/** Those of which only the name is. */
const NAMED = /^(HF_TOKEN|HUGGING_FACE_HUB_TOKEN|NODE_OPTIONS|LD_LIBRARY_PATH|LD_PRELOAD)$/;
const SECRET = /token|secret|passw|key/i;

/** The variables of an environment that matter here. */
export function variables(env: NodeJS.ProcessEnv): Record<string, string> {
  const shown = Object.entries(env).flatMap(([name, value = '']) => {
    if (NAMED.test(name) || (SHOWN.test(name) && SECRET.test(name.replace(/_PATH$/, ''))))
      return [[name, '(set)']];
    if (!SHOWN.test(name)) return [];
    // A proxy without a scheme can have a password, too.
    const address = /_proxy$/i.test(name) ? value.replace(/^([a-z]+:\/\/)?.*@/i, '$1') : value;
    return [[name, shownAddress(address)]];
  });
  return Object.fromEntries(shown);
}

/** The installed version of a package, or that it is not there. */
function versionOf(name: string): string {
  const folder = folderOf(name);
  return folder === undefined ? 'not installed' : versionIn(folder);
}

/** The first line that a program prints, or that it is not there. */
const firstLine = (program: string, ...args: string[]): Promise<string> =>
  runTool(program, args, { signal: AbortSignal.timeout(10_000) }).then(
    (printed) => printed.split('\n')[0].trim(),
    (error) => (error instanceof MissingTool ? 'not found' : firstLineOf(error)),
  );

async function report() {
  const [processor] = cpus();
  const { cacheDir, endpoint } = await hubSettings({});
  return {
    package: version,
    node: `${process.version} (${process.platform} ${process.arch}, ${release()})`,
    processor: `${processor?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    memory: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}`,
    packages: Object.fromEntries(
      ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm', 'sharp'].map((name) => [
        name,
        versionOf(name),
      ]),
    ),
    backends: (await listBackends()).map(({ name, available, version, device, reason }) => ({
      ...{ name, available, version, device, reason },
    })),
    ffmpeg: await firstLine('ffmpeg', '-version'),
    nvidia: await firstLine(
      'nvidia-smi',
      '--query-gpu=name,driver_version',
      '--format=csv,noheader',
    ),
    hub: { cache: cacheDir, endpoint: shownAddress(endpoint) },
    environment: variables(process.env),
  };
}

export const env = subcommand({
  name: 'env',
  usage: ['[--json]'],
  about: [
    'Prints what a report of a fault has to say of this machine: versions, processor, memory, ' +
      'backends, programs, and the variables of the environment that matter. Tokens and passwords ' +
      'are left out.',
  ],
  options: jsonOption(),
  async run({ json }) {
    const found = await report();
    print(json ? JSON.stringify(found) : Object.entries(found).flatMap(describe).join('\n'));
    return 0;
  },
});

/** A value with its name: in one line, or one below the other. */
function describe([name, value]: [string, unknown]): string[] {
  if (typeof value !== 'object' || value === null) return [`${name}: ${value}`];
  const entries = Array.isArray(value)
    ? value.map(({ name, available, version, device, reason }) => [
        name,
        [available ? `${version} on ${device}` : 'cannot be used', reason]
          .filter(Boolean)
          .join('. '),
      ])
    : Object.entries(value);
  return [`${name}:`, ...entries.map(([key, text]) => `  ${key}: ${text}`)];
}
