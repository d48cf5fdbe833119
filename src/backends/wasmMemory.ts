/**
 * Makes the wasm backend say when it is out of memory. On its own it goes on with the address 0 (from `malloc` in
 * JavaScript) or with an output that nothing was written to (from one in a kernel).
 */

/** WebAssembly with 32-bit addresses ends here. */
const maxBytes = 2 ** 32;

/** Whether the heap could not grow since the last look. */
export interface HeapWatch {
  failed: boolean;
}

/** The parts of the wasm backend and of its emscripten module that are watched. */
export interface WatchedBackend {
  readSync(dataId: object, start?: number, end?: number): unknown;
  wasm: { _malloc(bytes: number): number; _free(address: number): void };
}

type Imports = { env?: { emscripten_resize_heap?: (bytes: number) => boolean } };

/** Runs `start`, which instantiates the WebAssembly module, and watches the growth of its heap from then on. */
export async function watchHeap<T>(start: () => Promise<T>): Promise<{ result: T; watch: HeapWatch }> {
  const watch: HeapWatch = { failed: false };
  const { instantiate } = WebAssembly;
  const watched = (binary: BufferSource, imports?: Imports) => {
    const resize = imports?.env?.emscripten_resize_heap;
    if (imports?.env && resize) {
      imports.env.emscripten_resize_heap = (bytes) => {
        const grown = resize(bytes);
        if (!grown) watch.failed = true;
        return grown;
      };
    }
    return instantiate(binary, imports as WebAssembly.Imports);
  };
  WebAssembly.instantiate = watched as typeof instantiate;
  try {
    return { result: await start(), watch };
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

/** Makes allocations and reads throw once memory has run out. */
export function guardMemory(backend: WatchedBackend, watch: HeapWatch): void {
  const outOfMemory = (request: string) => {
    watch.failed = false;
    return new Error(
      `The wasm backend is out of memory: WebAssembly has 4 GiB, and ${request} did not fit. Try a smaller size, fewer frames, a smaller decode chunk, or --backend tensorflow.`,
    );
  };
  const { wasm } = backend;
  // The first call replaces the property by the function it finally stands for.
  wasm._free(wasm._malloc(1));
  const malloc = wasm._malloc;
  wasm._malloc = (bytes) => {
    if (watch.failed) throw outOfMemory('what an operation needed for itself');
    // Beyond 32 bits the argument would wrap around and too little would be allocated.
    const address = bytes < maxBytes ? malloc(bytes) : 0;
    if (address === 0 && bytes > 0) throw outOfMemory(`a tensor of ${(bytes / 2 ** 20).toFixed(0)} MiB`);
    return address;
  };
  const readSync = backend.readSync;
  backend.readSync = (dataId, start, end) => {
    if (watch.failed) throw outOfMemory('what an operation needed for itself');
    return readSync.call(backend, dataId, start, end);
  };
}
