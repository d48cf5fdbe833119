/** Where a browser keeps small files by name: the origin private file system, or the Cache API. */

/** Keeps files of a few megabytes. Each of its methods may reject with the browser's reason. */
export interface WebStore {
  /** What is kept under a name. */
  read(name: string): Promise<Blob | undefined>;
  /** Keeps all of `bytes` or, if it rejects, what was there before. */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  remove(name: string): Promise<void>;
}

/** What the browser's storage gives. In a sandboxed frame, the mere mention of it throws. */
export async function unlessRefused<T>(
  work: () => Promise<T> | T | undefined,
): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

/**
 * The store of this name. Pages that are not served safely, private windows of some browsers,
 * sandboxed frames, and programs outside browsers have none.
 */
export async function openStore(name: string | null): Promise<WebStore | undefined> {
  if (name === null || !globalThis.crypto?.subtle) return undefined;
  return (
    (await unlessRefused(() => folderStore(name))) ?? (await unlessRefused(() => cacheStore(name)))
  );
}

/** Safari has one way of writing in all places, and another one in workers, where others have it too. */
type Handle = Omit<FileSystemFileHandle, 'createWritable'> & {
  createWritable?: FileSystemFileHandle['createWritable'];
  createSyncAccessHandle?(): Promise<{
    truncate(size: number): void;
    write(bytes: Uint8Array, options: { at: number }): number;
    flush(): void;
    close(): void;
  }>;
};

async function folderStore(name: string): Promise<WebStore | undefined> {
  const { prototype } = globalThis.FileSystemFileHandle;
  if (!('createWritable' in prototype || 'createSyncAccessHandle' in prototype)) return undefined;
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(encodeURIComponent(name), { create: true });
  return {
    async read(file) {
      const handle = await folder.getFileHandle(file).catch(unlessNotFound);
      return handle?.getFile();
    },
    async write(file, bytes) {
      const handle: Handle = await folder.getFileHandle(file, { create: true });
      if (handle.createWritable) {
        const output = await handle.createWritable();
        await output.write(bytes).catch(async (error: unknown) => {
          await output.abort().catch(() => {});
          throw error;
        });
        return output.close();
      }
      const access = await handle.createSyncAccessHandle!();
      try {
        access.truncate(0);
        access.write(bytes, { at: 0 });
        access.flush();
      } finally {
        access.close();
      }
    },
    remove: async (file) => folder.removeEntry(file).catch(unlessNotFound),
  };
}

function unlessNotFound(error: unknown): undefined {
  if ((error as Error).name !== 'NotFoundError') throw error;
}

/** The addresses of kept files, which nobody asks for. */
const ADDRESS = 'https://stable-video-diffusion-tfjs.invalid/';

async function cacheStore(name: string): Promise<WebStore | undefined> {
  const cache = await globalThis.caches?.open(name);
  return (
    cache && {
      read: async (file) => (await cache.match(ADDRESS + file))?.blob(),
      write: (file, bytes) => cache.put(ADDRESS + file, new Response(bytes)),
      async remove(file) {
        await cache.delete(ADDRESS + file);
      },
    }
  );
}
