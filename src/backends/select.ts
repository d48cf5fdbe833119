/** Chooses a backend, prepares it and makes it the current one of TensorFlow.js. */
import * as tf from '@tensorflow/tfjs-core';
import { checkValue } from '../text/kinds.ts';
import { firstLineOf } from '../text/messages.ts';
import { checkOptions } from '../text/options.ts';
import { prepareCpu } from './cpu.ts';
import { prepareTensorflow, tensorflowHandleCount } from './tensorflow/backend.ts';
import {
  type BackendChoice,
  type BackendName,
  type BackendOptions,
  type BackendReport,
  backendChoices,
  backendNames,
  backendOf,
  maxThreads,
  type Prepared,
  type Request,
} from './types.ts';
import { prepareWasm } from './wasm/backend.ts';
import { prepareWebgpu, releaseWebgpu } from './webgpu/backend.ts';

const preparations: Record<BackendName, (request: Request) => Promise<Prepared>> = {
  tensorflow: prepareTensorflow,
  webgpu: prepareWebgpu,
  wasm: prepareWasm,
  cpu: prepareCpu,
};

async function select(name: BackendName, request: Request): Promise<BackendReport> {
  const prepared = await preparations[name](request);
  if (!(await tf.setBackend(name)))
    throw new Error(`The ${name} backend of ${prepared.package} could not be initialised.`);
  await tf.ready();
  return { name, available: true, ...prepared };
}

/** The last choice, which the next one waits for: a backend is made ready by one at a time. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Makes a backend the one that TensorFlow.js computes on.
 *
 * `auto` takes the first that works of tensorflow (CUDA before the processor), webgpu on a real
 * graphics card, wasm, cpu. `cuda` is tensorflow on an NVIDIA card, or an error. Tensors made
 * before stay on their backend.
 * @returns The report on the chosen backend.
 * @throws When an option is wrong, or when the backend cannot be used. The message says how to get
 * it.
 */
export function useBackend(
  choice: BackendChoice = 'auto',
  options: BackendOptions = {},
): Promise<BackendReport> {
  const chosen = last.then(() => choose(choice, options));
  last = chosen.catch(() => {});
  return chosen;
}

async function choose(choice: BackendChoice, options: BackendOptions): Promise<BackendReport> {
  // Before any backend is tried: `auto` would count this error as a missing backend.
  checkOptions('useBackend', options, ['threads', 'tf32']);
  const { threads } = options;
  if (
    threads !== undefined &&
    !(Number.isInteger(threads) && threads >= 1 && threads <= maxThreads)
  ) {
    throw new Error(
      `\`threads\` has to be a whole number from 1 to ${maxThreads} but is ${threads}.`,
    );
  }
  if (choice !== 'auto') {
    if (/^(gpu|nvidia)$/i.test(choice))
      throw new Error(
        `\`backend\` ${choice} may mean two: use cuda for an NVIDIA card, or webgpu for any other.`,
      );
    checkValue('backend', choice, { oneOf: backendChoices });
    const request = { ...options, allowSoftware: true, card: choice === 'cuda' };
    return select(backendOf(choice) as BackendName, request);
  }
  const refusals: string[] = [];
  for (const name of backendNames) {
    try {
      return await select(name, { ...options, allowSoftware: false });
    } catch (error) {
      refusals.push(firstLineOf(error));
    }
  }
  throw new Error(`No backend works: ${refusals.join(' ')}`);
}

/**
 * Frees the webgpu backend's device with every tensor on it. Before that, a process that used it
 * does not end.
 */
export function releaseBackend(): void {
  releaseWebgpu();
}

/**
 * The number of tensors that native code holds for the tensorflow backend, or undefined on others,
 * where `tf.memory()` counts all of them.
 */
export function nativeHandleCount(): number | undefined {
  return tf.getBackend() === 'tensorflow' ? tensorflowHandleCount() : undefined;
}
