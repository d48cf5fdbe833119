/** Runs a few lines on backends in a separate process, which has to end by itself. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { built } from '../harness/built.ts';
import { patience } from '../harness/patience.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The driver in Debian's chromium-common: WebGPU without a graphics card. */
export const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

const preamble = `
import * as tf from '@tensorflow/tfjs';
import { listBackends, nativeHandleCount, releaseBackend, useBackend } from './src/backends/index.ts';
const messageOf = async (action) => {
  try { await action(); } catch (error) { return error.message; }
  return 'nothing was thrown';
};
const give = (value) => console.log('RESULT ' + JSON.stringify(value));
`;

/**
 * Runs JavaScript that can use `tf`, this package's backend functions, `messageOf(action)` and
 * `give(value)`.
 * @returns The value of the last `give`.
 */
export function inFreshProcess<T>(code: string, env: NodeJS.ProcessEnv = {}): Promise<T> {
  const builtCode = (preamble + code).replace(
    /'\.\/(src\/[^']*)\.ts'/g,
    (_, name) => `'${built(`${name}.js`)}'`,
  );
  const args = ['--input-type=module', '--eval', builtCode];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      args,
      { cwd: root, env: { ...process.env, ...env }, timeout: patience },
      (error, stdout, stderr) => {
        if (error)
          return reject(
            new Error(
              `${error.killed ? `The process did not end in ${patience / 60_000} minutes. ` : ''}${stderr}`,
            ),
          );
        const result = stdout
          .split('\n')
          .filter((line) => line.startsWith('RESULT '))
          .at(-1);
        if (result === undefined)
          return reject(new Error(`The process returned nothing: ${stdout}${stderr}`));
        resolve(JSON.parse(result.slice('RESULT '.length)) as T);
      },
    );
  });
}
