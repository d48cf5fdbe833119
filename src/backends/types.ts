/**
 * What the backends have in common: their names, the options they take and the report each gives.
 */

/** The TensorFlow.js backends that this package can run on, fastest first. */
export const backendNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;

/**
 * `tensorflow`: libtensorflow, on CUDA or the CPU. `webgpu`: a graphics card. `wasm`: WebAssembly.
 * `cpu`: plain JavaScript.
 */
export type BackendName = (typeof backendNames)[number];

/** Options of `useBackend`. */
export interface BackendOptions {
  /**
   * Threads of the wasm backend, a whole number from 1 to 8. Default: the number of cores, at most
   * 8. The others ignore it.
   */
  threads?: number;
  /**
   * Whether an NVIDIA card may round the inputs of float32 products to TensorFloat-32, with 11 bits
   * instead of 24: faster and less exact. Default false. It holds from the first use of the
   * tensorflow backend on; the others ignore it.
   */
  tf32?: boolean;
}

/** How a backend is asked for: by name, or as one that `auto` goes through. */
export interface Request extends BackendOptions {
  /**
   * Whether a WebGPU adapter that is software may be taken: it is slower than wasm, so only by
   * name.
   */
  allowSoftware: boolean;
}

/** The package that provides each backend. */
export const providers: Record<BackendName, string> = {
  tensorflow: '@tensorflow/tfjs-node',
  webgpu: '@tensorflow/tfjs-backend-webgpu + webgpu',
  wasm: '@tensorflow/tfjs-backend-wasm',
  cpu: '@tensorflow/tfjs',
};

/** What is known of one backend on this machine. */
export interface BackendReport {
  /** The name that `useBackend` takes. */
  name: BackendName;
  /** The package that provides it. */
  package: string;
  /** Whether it can be used. */
  available: boolean;
  /**
   * Version of the package and, for tensorflow, of the libtensorflow behind it. Absent when the
   * backend cannot be used.
   */
  version?: string;
  /** The graphics card or processor it runs on. Absent when the backend cannot be used. */
  device?: string;
  /** Why it cannot be used, or what is restricted, in one sentence. */
  reason?: string;
}

/** What preparing a backend gives: its report without the part that all have in common. */
export interface Prepared {
  package: string;
  version: string;
  device: string;
  /** A restriction worth telling, such as threads that cannot be used. */
  reason?: string;
}
