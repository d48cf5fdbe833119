/**
 * Choosing a backend in a browser, among those whose packages the program imports:
 * `@tensorflow/tfjs-backend-webgpu`, `@tensorflow/tfjs-backend-wasm`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { countWarnings, guardMemory, type WasmModule } from './wasm/memory.ts';
import { guardOutputs } from './wasm/outputs.ts';
import { type Gpu, requestAdapter } from './webgpu/adapter.ts';
import type { Device, WebgpuBackend } from './webgpu/device.ts';
import { type DeviceGuard, guardBackend, guardDevice } from './webgpu/guard.ts';

/** The backends that browsers have, the fastest first. */
export const browserBackends = ['webgpu', 'wasm', 'cpu'] as const;
/** One of them. */
export type BrowserBackend = (typeof browserBackends)[number];

/** A backend that was not chosen, and why. */
export interface Refusal {
  /** The backend. */
  name: BrowserBackend;
  /** One sentence or a part of one. */
  reason: string;
}

/** A backend that is ready and current. */
export interface ChosenBackend {
  /** The backend. */
  name: BrowserBackend;
  /** Those before it, if it was chosen among several. */
  refused: Refusal[];
}

/** Backends that are ready. */
const ready = new Set<BrowserBackend>();

/** How the packages make their backends. */
const factories = new Map<BrowserBackend, Factory>();

/** What watches the device of webgpu. */
let guard: DeviceGuard | undefined;

/**
 * Makes a backend ready and current; webgpu again if its device was lost. `auto`: the first one that
 * works. A software adapter of WebGPU, which is slower than WebAssembly, has to be asked for by name.
 * @returns Its name, and why those before it were not chosen.
 * @throws One sentence with every reason, if there is none.
 */
export function useBrowserBackend(
  choice: 'auto' | BrowserBackend = 'auto',
): Promise<ChosenBackend> {
  const chosen = last.then(() => choose(choice));
  last = chosen.catch(() => {});
  return chosen;
}

/** The last choice, which the next one waits for: a backend is made ready by one at a time. */
let last: Promise<unknown> = Promise.resolve();

async function choose(choice: 'auto' | BrowserBackend): Promise<ChosenBackend> {
  const refused: Refusal[] = [];
  for (const name of choice === 'auto' ? browserBackends : [choice]) {
    try {
      if (!ready.has(name) || (name === 'webgpu' && guard?.lost))
        await prepare(name, choice === 'auto');
      ready.add(name);
      if (!(await tf.setBackend(name))) throw new Error('it could not be started');
      return { name, refused };
    } catch (error) {
      refused.push({ name, reason: (error as Error).message });
    }
  }
  throw new Error(
    'No backend can be used: ' +
      `${refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ')}.`,
  );
}

async function prepare(name: BrowserBackend, automatic: boolean): Promise<void> {
  if (name === 'webgpu') {
    const { gpu } = navigator as { gpu?: Gpu };
    if (!gpu) throw new Error('this browser has no WebGPU');
    await requestAdapter(gpu, !automatic);
  }
  const factory = factories.get(name) ?? (tf.findBackendFactory(name) as Factory | undefined);
  if (!factory) throw new Error(`the program does not import @tensorflow/tfjs-backend-${name}`);
  factories.set(name, factory);
  if (name === 'cpu') return;
  // Registered again as it is, started and guarded.
  tf.removeBackend(name);
  try {
    const backend = name === 'wasm' ? await guardedWasm(factory) : await guardedWebgpu(factory);
    tf.registerBackend(name, () => backend);
  } catch (error) {
    tf.registerBackend(name, factory);
    throw error;
  }
}

type Factory = () => tf.KernelBackend | Promise<tf.KernelBackend>;

async function guardedWasm(factory: Factory): Promise<tf.KernelBackend> {
  const { result: backend, warnings } = await countWarnings(async () => factory());
  guardMemory((backend as tf.KernelBackend & { wasm: WasmModule }).wasm, warnings);
  guardOutputs(backend);
  return backend;
}

async function guardedWebgpu(factory: Factory): Promise<tf.KernelBackend> {
  const backend = (await factory()) as GuardedWebgpu;
  guardWebgpu(backend);
  return backend;
}

type GuardedWebgpu = WebgpuBackend & { device: Device };

function guardWebgpu(backend: GuardedWebgpu): void {
  guard = guardDevice(backend.device);
  guardBackend(backend, backend.device, guard);
}

/** Guards webgpu where the program has made it current without `useBrowserBackend`. */
export function guardCurrentBackend(): void {
  const backend = tf.backend() as GuardedWebgpu;
  if (tf.getBackend() !== 'webgpu' || backend.settle) return;
  guardWebgpu(backend);
  ready.add('webgpu');
}
