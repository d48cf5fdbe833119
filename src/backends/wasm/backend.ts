/** The wasm backend: works after `npm install` on any machine. */
import * as tf from '@tensorflow/tfjs-core';
import { firstLineOf } from '../../text/messages.ts';
import { folderOf, processorName, versionIn } from '../packages.ts';
import type { BackendOptions, Prepared } from '../types.ts';
import { countWarnings, guardMemory, type WasmModule } from './memory.ts';
import { guardOutputs } from './outputs.ts';
import { defaultThreads, settleWorkers, startWithThreads, type ThreadedModule } from './threads.ts';

const packageName = '@tensorflow/tfjs-backend-wasm';

type Backend = tf.KernelBackend & { wasm: WasmModule & ThreadedModule };

/** Starts the backend, guards its memory, and returns its emscripten module. */
async function start(factory: () => Promise<Backend>): Promise<WasmModule & ThreadedModule> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const listeners = events.map((event) => process.listeners(event as 'uncaughtException'));
  const { result: backend, warnings } = await countWarnings(factory);
  // Emscripten catches every uncaught error of the program and throws it again, which hides its
  // origin.
  events.forEach((event, i) => {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!listeners[i].includes(listener)) process.off(event, listener);
    }
  });
  guardMemory(backend.wasm, warnings);
  guardOutputs(backend);
  tf.registerBackend('wasm', () => backend);
  return backend.wasm;
}

let current: { prepared: Prepared; threads: number } | undefined;

/**
 * Makes the wasm backend ready with `threads` threads, or with one and a reason when they cannot be
 * started. The number is fixed at the first call.
 * @throws When the package is missing, or when a later call asks for another number.
 */
export async function prepareWasm({ threads }: BackendOptions): Promise<Prepared> {
  if (current) {
    if (threads !== undefined && threads !== current.threads) {
      throw new Error(
        `The wasm backend already runs with \`threads\` ${current.threads}, so it cannot get ` +
          `${threads}. Choose the number when it is first used.`,
      );
    }
    return current.prepared;
  }
  const folder = folderOf(packageName);
  if (folder === undefined)
    throw new Error(
      `The wasm backend is not installed. \`npm install ${packageName}@4.22.0\` installs it.`,
    );
  const { getThreadsCount, setThreadsCount } = await import('@tensorflow/tfjs-backend-wasm');
  const factory = tf.findBackendFactory('wasm') as () => Promise<Backend>;
  // `start` registers it again, guarded: TensorFlow.js must not start it by itself.
  tf.removeBackend('wasm');
  let count = threads ?? defaultThreads();
  let reason: string | undefined;
  if (count > 1) {
    setThreadsCount(count);
    try {
      const wasm = await startWithThreads(folder, count, () => start(factory));
      await settleWorkers(wasm);
      count = getThreadsCount();
    } catch (error) {
      reason = `It runs on one thread, because ${count} could not be started (${firstLineOf(error)}).`;
      count = 1;
    }
  }
  if (count === 1) {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    await start(factory);
  }
  const device = `${processorName()}, ${count} thread${count > 1 ? 's' : ''}`;
  current = {
    threads: count,
    prepared: {
      package: packageName,
      version: versionIn(folder),
      device,
      ...(reason && { reason }),
    },
  };
  return current.prepared;
}
