/** Files that are written piece by piece, so that they may be larger than memory. */
import { type FileHandle, open } from 'node:fs/promises';

/** A piece of a file. */
export interface Piece {
  /** Where it begins in the file. */
  position: number;
  /** Its size; 0 for a small text whose size is not known beforehand. */
  bytes: number;
  make(): Promise<Uint8Array>;
  /** Called with what `make` has returned once it is written, so that its memory is used again. */
  release?(made: Uint8Array): void;
}

/** A file to be written. */
export interface OutputFile {
  /** Its path in the output folder; empty if the output is this file. */
  path: string;
  /** In the order in which they are made. */
  pieces: Piece[];
}

/** Options of `writePieces`. */
export interface WriteOptions {
  /** Called with the bytes of each piece that is written. */
  onBytes?: (bytes: number) => void;
  /** Stops between two pieces. */
  signal?: AbortSignal;
}

export const sizeOf = ({ pieces }: OutputFile): number =>
  pieces.reduce((sum, { bytes }) => sum + bytes, 0);

/** A file with a text that is made when its turn comes. */
export const textFile = (path: string, text: () => string | Promise<string>): OutputFile => ({
  path,
  pieces: [{ position: 0, bytes: 0, make: async () => new TextEncoder().encode(await text()) }],
});

/**
 * Writes a file at `path`, in place of what is there. While a piece is written, the next one is
 * made: memory holds two of them.
 * @throws What the pieces and the file system throw; the signal's reason.
 */
export async function writePieces(
  path: string,
  { pieces }: OutputFile,
  { onBytes, signal }: WriteOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const file = await open(path, 'w');
  let making: Promise<Uint8Array> | undefined = pieces[0]?.make();
  let writing: Promise<void> | undefined;
  const write = async (made: Uint8Array, { position, bytes, release }: Piece) => {
    await writeAll(file, made, position);
    release?.(made);
    onBytes?.(bytes);
  };
  try {
    for (const [i, piece] of pieces.entries()) {
      const made = await making!;
      signal?.throwIfAborted();
      await writing;
      writing = write(made, piece);
      making = pieces[i + 1]?.make();
      // looked at when its turn comes
      for (const ahead of [writing, making]) ahead?.catch(() => {});
    }
    await writing;
  } finally {
    await Promise.allSettled([making, writing]); // so that what they read can be closed
    await file.close();
  }
}

/**
 * Bytes of one system call. With larger ones, Linux looks for large pages in a row, which can take
 * several times as long; smaller ones keep this thread busy.
 */
const AT_ONCE = 2 ** 20;

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(bytes.length - done, AT_ONCE);
    done += (await file.write(bytes, done, length, position + done)).bytesWritten;
  }
}
