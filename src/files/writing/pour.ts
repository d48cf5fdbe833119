/** Writes finished files into what cannot be replaced: devices, pipes and standard output. */
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import type { Target } from './target.ts';

/**
 * Copies the file at `source` into `target`, which is a stream.
 * @throws The system's error; the signal's reason.
 */
export async function pour(source: string, target: Target, signal?: AbortSignal): Promise<void> {
  if (target.kind === 'stdout') return copy(source, toStandardOutput, signal);
  const stream = await openStream(target.path, signal);
  try {
    await copy(source, (piece) => writeAll(stream, piece, signal), signal);
  } finally {
    await stream.close();
  }
}

async function copy(
  source: string,
  write: (piece: Buffer) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  for await (const piece of createReadStream(source)) {
    signal?.throwIfAborted();
    await write(piece);
  }
}

/**
 * Opens a device or a pipe. A pipe is opened without waiting in the system, which a signal could
 * not stop, until something reads it.
 */
async function openStream(path: string, signal?: AbortSignal): Promise<FileHandle> {
  const flags = constants.O_WRONLY | (constants.O_NONBLOCK ?? 0);
  return unlessNow('ENXIO', () => open(path, flags), signal);
}

async function writeAll(stream: FileHandle, bytes: Buffer, signal?: AbortSignal): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await unlessNow('EAGAIN', () => stream.write(bytes, at), signal);
    at += bytesWritten;
  }
}

/** Tries again as long as the system answers with `code`: not now. */
async function unlessNow<T>(
  code: string,
  attempt: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let pause = 1; ; pause = Math.min(2 * pause, 50)) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== code) throw error;
    }
    await setTimeout(pause, undefined, { signal }).catch(() => {}); // the signal has its own reason
  }
}

/** Node's own stream, because files, pipes and sockets need different calls. */
function toStandardOutput(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // The stream reports an error once more as an event, which would end the process.
    process.stdout.once('error', reject);
    process.stdout.write(bytes, (error) => {
      if (error) return reject(error);
      process.stdout.off('error', reject);
      resolve();
    });
  });
}
