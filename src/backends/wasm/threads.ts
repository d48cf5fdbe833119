/**
 * Threads for the wasm backend in Node. Upstream has them only in browsers:
 * https://github.com/tensorflow/tfjs/issues/3830
 *
 * Its threaded build starts its workers from a blob URL and passes each one a Blob with its code.
 * Node's workers take neither, but they take source text and read files. So while the backend
 * starts, `Worker` is a class that translates.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { requireHere } from '../packages.ts';
import { maxThreads } from '../types.ts';

/** The number of cores that the process may use, at most 8. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), maxThreads);
}

/** The part of emscripten's module that keeps its workers. */
export interface ThreadedModule {
  PThread?: { unusedWorkers: Worker[]; runningWorkers: Worker[] };
}

/**
 * Replaces a property of a CommonJS module, and returns the function that restores it.
 */
function replace(target: object, key: string, value: unknown): () => void {
  const before = Reflect.get(target, key);
  Reflect.set(target, key, value);
  return () => {
    Reflect.set(target, key, before);
  };
}

/**
 * Runs `start`, which starts the wasm backend, so that it has `threads` threads.
 * @param folder The folder of the package `@tensorflow/tfjs-backend-wasm`.
 */
export async function startWithThreads<T>(
  folder: string,
  threads: number,
  start: () => Promise<T>,
): Promise<T> {
  // Its workers fail later, and with them the program.
  if ('Deno' in globalThis) throw new Error('Deno has other workers than Node');
  const build = join(folder, 'wasm-out', 'tfjs-backend-wasm-threaded-simd');
  const { wasmWorkerContents } = requireHere(`${build}.worker.js`) as {
    wasmWorkerContents: string;
  };
  // The text was in a template literal, which turned the `\n` inside its strings into line ends.
  const source = wasmWorkerContents.replaceAll('\n', '\\n');

  class FileWorker extends Worker {
    constructor(_blobUrl: string | URL, options: WorkerOptions = {}) {
      // Without the flags of this process: a loader of `--import` has nothing to load there.
      super(source, { ...options, eval: true, execArgv: [] });
    }
    override postMessage(message: { cmd?: string }, ...rest: []): void {
      super.postMessage(
        message.cmd === 'load' ? { ...message, urlOrBlob: `${build}.js` } : message,
        ...rest,
      );
    }
  }

  const os = requireHere('node:os') as typeof import('node:os');
  // The backend uses half of the processors that it counts.
  const counted = Array.from({ length: 2 * threads }, () => os.cpus()[0]);
  const restore = [
    replace(requireHere('node:worker_threads') as object, 'Worker', FileWorker),
    replace(os, 'cpus', () => counted),
  ];
  const scope = globalThis as { Worker?: unknown };
  const browserWorker = scope.Worker;
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
  try {
    return await start();
  } finally {
    for (const undo of restore) undo();
    // The build leaves its class in the global scope, where other libraries take it for that of a
    // browser.
    if (browserWorker === undefined) delete scope.Worker;
    else scope.Worker = browserWorker;
  }
}

/** Ends the workers that got no thread, and lets the process end while the others wait for work. */
export async function settleWorkers({ PThread }: ThreadedModule): Promise<void> {
  if (!PThread) return;
  await Promise.all(PThread.unusedWorkers.splice(0).map((worker) => worker.terminate()));
  for (const worker of PThread.runningWorkers) worker.unref();
}
