/** Choosing a backend: prepares it and makes it the one that TensorFlow.js computes on. */
import * as tf from '@tensorflow/tfjs';
import { firstLineOf } from '../text/messages.ts';
import { prepareCpu } from './cpu.ts';
import { prepareTensorflow, tensorflowHandleCount } from './tensorflow/backend.ts';
import {
  type BackendName,
  type BackendOptions,
  type BackendReport,
  backendNames,
  type Prepared,
  type Request,
} from './types.ts';
import { prepareWasm } from './wasm/backend.ts';
import { maxThreads } from './wasm/threads.ts';
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

/**
 * Makes a backend the one that TensorFlow.js computes on.
 *
 * `auto` takes the first that works of tensorflow (CUDA before the processor), webgpu on a real
 * graphics card, wasm, cpu. Tensors made before stay on their backend.
 * @returns What was chosen.
 * @throws One sentence that says how to get the backend, when it was asked for by name and is
 * missing.
 */
export async function useBackend(
  choice: 'auto' | BackendName = 'auto',
  options: BackendOptions = {},
): Promise<BackendReport> {
  // Before any backend is tried: `auto` would take the refusal for a missing backend.
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
    if (!backendNames.includes(choice)) {
      throw new Error(
        `\`backend\` has to be one of auto, ${backendNames.join(', ')} but is ${String(choice)}.`,
      );
    }
    return select(choice, { ...options, allowSoftware: true });
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
 * Frees what the webgpu backend holds of the graphics card, with every tensor on it; a process that
 * used it ends only then.
 */
export function releaseBackend(): void {
  releaseWebgpu();
}

/**
 * Tensors that native code holds for the current backend (tensorflow), or undefined where
 * tf.memory() counts everything.
 */
export function nativeHandleCount(): number | undefined {
  return tf.getBackend() === 'tensorflow' ? tensorflowHandleCount() : undefined;
}
