/**
 * Safetensors files on disk: opened for reading by offset, so that a file larger than memory can be
 * read tensor by tensor.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { existingPath } from '../../files/existingPath.ts';
import { CheckpointError, causeOf } from '../errors.ts';
import { type ByteReader, readSafetensors, type SafetensorsFile } from './reader.ts';

/** One system call reads at most 2^31 - 1 bytes. */
const MOST_BYTES_AT_ONCE = 2 ** 30;

/**
 * Opens a safetensors file and checks its header. Keeps the file open until `close`.
 * @throws CheckpointError if there is no such file or it is not a valid safetensors file.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const bytes = await openBytes(path);
  try {
    return await readSafetensors(bytes);
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** Opens a file for reading at any position. @throws CheckpointError if there is no such file. */
export async function openBytes(path: string): Promise<ByteReader> {
  const failed = (error: unknown) =>
    new CheckpointError(`Cannot read ${path}: ${causeOf(error)}.`, { cause: error });
  let file: FileHandle;
  let size: number;
  try {
    // before opening, because opening a pipe waits for its other end
    const found = await existingPath(path);
    const status = await stat(found);
    if (!status.isFile()) throw new Error('it is not a file');
    size = status.size;
    file = await open(found);
  } catch (error) {
    throw failed(error);
  }
  let closed = false;
  return {
    label: path,
    size,
    async read(target, position) {
      if (closed) throw new CheckpointError(`Cannot read ${path}: it has been closed.`);
      try {
        await fill(file, target, position);
      } catch (error) {
        throw failed(error);
      }
    },
    async close() {
      closed = true;
      await file.close();
    },
  };
}

async function fill(file: FileHandle, target: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const part = target.subarray(done, done + MOST_BYTES_AT_ONCE);
    const { bytesRead } = await file.read(part, 0, part.length, position + done);
    if (bytesRead === 0) throw new Error('it has become shorter since it was opened');
    done += bytesRead;
  }
}
