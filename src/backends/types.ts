/**
 * The names of the backends, their options and their reports.
 */

/** The TensorFlow.js backends that this package runs on, the fastest first. */
export const backendNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;

/**
 * `tensorflow`: libtensorflow, on CUDA or the CPU. `webgpu`: a graphics card. `wasm`: WebAssembly.
 * `cpu`: plain JavaScript.
 */
export type BackendName = (typeof backendNames)[number];

/**
 * What `useBackend` takes: the name of a backend; `auto`, the first that works; or `cuda`,
 * tensorflow on an NVIDIA card or not at all.
 */
export type BackendChoice = 'auto' | 'cuda' | BackendName;

/** All of them. */
export const backendChoices: readonly BackendChoice[] = ['auto', 'cuda', ...backendNames];

/** The backend that a choice other than `auto` leads to. */
export const backendOf = (choice: string): string => (choice === 'cuda' ? 'tensorflow' : choice);

/** The number of workers that the wasm backend starts. Its thread pool cannot grow beyond them. */
export const maxThreads = 8;

/** Options of `useBackend`. */
export interface BackendOptions {
  /**
   * The number of threads of the wasm backend, from 1 to 8. Default: the number of cores, at most
   * 8. Other backends ignore it.
   */
  threads?: number;
  /**
   * Whether an NVIDIA card may round the inputs of float32 products to TensorFloat-32, with 11 bits
   * instead of 24: faster and less exact. Default false. It is fixed at the first use of the
   * tensorflow backend. Other backends ignore it.
   */
  tf32?: boolean;
}

/** The options with which a backend is prepared. */
export interface Request extends BackendOptions {
  /**
   * Whether a WebGPU adapter that is software may be taken: only when webgpu is asked for by name,
   * because it is slower than wasm.
   */
  allowSoftware: boolean;
  /** Whether it has to be an NVIDIA card, so that the processor is refused. */
  card?: boolean;
}

/** The package that provides each backend. */
export const providers: Record<BackendName, string> = {
  tensorflow: '@tensorflow/tfjs-node',
  webgpu: '@tensorflow/tfjs-backend-webgpu + webgpu',
  wasm: '@tensorflow/tfjs-backend-wasm',
  cpu: '@tensorflow/tfjs-backend-cpu',
};

/** A report on one backend of this machine. */
export interface BackendReport {
  /** The name that `useBackend` takes. */
  name: BackendName;
  /** The package that provides it. */
  package: string;
  /** Whether it can be used. */
  available: boolean;
  /**
   * Version of the package and, for tensorflow, of libtensorflow. Absent when the backend cannot be
   * used.
   */
  version?: string;
  /** The graphics card or processor it runs on. Absent when the backend cannot be used. */
  device?: string;
  /** The reason why it cannot be used, or a restriction, in one sentence. */
  reason?: string;
}

/** A backend that is ready: its report without the fields that all have in common. */
export interface Prepared {
  package: string;
  version: string;
  device: string;
  /** A restriction, such as threads that cannot be started. */
  reason?: string;
}
