/**
 * Makes the wasm backend throw when it is out of memory. Without this, it goes on with the address
 * 0 when `malloc` fails in JavaScript. A kernel in which `malloc` fails prints a warning and leaves
 * its output as it was, or ends in "memory access out of bounds" or "Aborted()".
 */

/** WebAssembly with 32-bit addresses ends here. */
const maxBytes = 2 ** 32;

/** A kernel that fails while the heap is this large has run out of memory. */
const nearlyFull = 0.75 * maxBytes;

/** The part of the backend's emscripten module that is guarded. */
export interface WasmModule {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(address: number): void;
  cwrap(name: string, ...types: unknown[]): (...args: unknown[]) => unknown;
}

function outOfMemory(request: string): Error {
  return new Error(
    `The wasm backend is out of memory: WebAssembly has 4 GiB, and ${request} did not fit. ` +
      'Try a smaller size, fewer frames, a smaller decode chunk, or another backend.',
  );
}

/** The number of lines that kernels have printed. They print only when XNNPACK fails. */
export interface Warnings {
  count: number;
}

type Imports = { env?: { fd_write?: (...args: number[]) => number } };

/**
 * Runs `start`, which instantiates the WebAssembly module, and counts what kernels print from then
 * on. Another module that is instantiated meanwhile, such as a video encoder's, is counted with it,
 * but cannot print while a kernel runs.
 */
export async function countWarnings<T>(
  start: () => Promise<T>,
): Promise<{ result: T; warnings: Warnings }> {
  const warnings: Warnings = { count: 0 };
  const { instantiate } = WebAssembly;
  const counting = (binary: BufferSource, imports: Imports) => {
    const write = imports.env?.fd_write;
    if (imports.env && write) {
      imports.env.fd_write = (...args) => {
        warnings.count++;
        return write(...args);
      };
    }
    return instantiate(binary, imports as WebAssembly.Imports);
  };
  WebAssembly.instantiate = counting as typeof instantiate;
  try {
    return { result: await start(), warnings };
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

/**
 * Makes allocations and kernels throw when memory runs out. Call it before kernels are set up.
 */
export function guardMemory(wasm: WasmModule, warnings: Warnings): void {
  // The first call replaces the property by the final function.
  wasm._free(wasm._malloc(1));
  const malloc = wasm._malloc;
  wasm._malloc = (bytes) => {
    // Beyond 32 bits the argument would wrap around, and `malloc` would allocate too little.
    const address = bytes < maxBytes ? malloc(bytes) : 0;
    if (address === 0 && bytes > 0)
      throw outOfMemory(`a tensor of ${(bytes / 2 ** 20).toFixed(0)} MiB`);
    return address;
  };
  const { cwrap } = wasm;
  wasm.cwrap = (name, ...types) => {
    const kernel = cwrap(name, ...types);
    const failure = () => {
      if (wasm.HEAPU8.length >= nearlyFull) return outOfMemory(`what ${name} needed for itself`);
      return new Error(
        `The wasm backend could not compute ${name}, for the reason that it has printed. Try ` +
          'another backend.',
      );
    };
    return (...args) => {
      const before = warnings.count;
      let result: unknown;
      try {
        result = kernel(...args);
      } catch (error) {
        const full = error instanceof WebAssembly.RuntimeError && wasm.HEAPU8.length >= nearlyFull;
        throw full ? failure() : error;
      }
      if (warnings.count > before) throw failure();
      return result;
    };
  };
}
