/** Files that are written and read as if they were one. */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeAll } from '../src/checkpoints/safetensors/writer.ts';
import type { Span } from './writeThread.ts';

interface Piece {
  file: FileHandle;
  /** Where it begins in the whole. */
  start: number;
  bytes: number;
}

export class Pieces {
  private readonly pieces: Piece[];

  private constructor(pieces: Piece[]) {
    this.pieces = pieces;
  }

  /**
   * Opens files below `folder` with the sizes that they are going to have; those that are not there
   * are made. An empty path is `folder` itself.
   */
  static async open(folder: string, files: { path: string; bytes: number }[]): Promise<Pieces> {
    const pieces: Piece[] = [];
    let start = 0;
    for (const { path, bytes } of files) {
      const full = join(folder, path);
      await mkdir(dirname(full), { recursive: true });
      pieces.push({ file: await open(full, 'r+').catch(() => open(full, 'w+')), start, bytes });
      start += bytes;
    }
    return new Pieces(pieces);
  }

  /** The parts of the files that a range of the whole takes, for a thread that writes it. */
  spansOf(length: number, position: number): Span[] {
    return [...this.spans(length, position)].map(({ file, ...span }) => ({ fd: file.fd, ...span }));
  }

  private *spans(
    length: number,
    position: number,
  ): Generator<{ file: FileHandle; from: number; to: number; at: number }> {
    for (const { file, start, bytes } of this.pieces) {
      const from = Math.max(position, start);
      const to = Math.min(position + length, start + bytes);
      if (from < to) yield { file, from: from - position, to: to - position, at: from - start };
    }
  }

  async write(data: Uint8Array, position: number): Promise<void> {
    for (const { file, from, to, at } of this.spans(data.length, position))
      await writeAll(file, data.subarray(from, to), at);
  }

  /** The bytes there are; what is missing reads as zeros. */
  async read(length: number, position: number): Promise<Uint8Array> {
    const result = new Uint8Array(length);
    for (const { file, from, to, at } of this.spans(length, position)) {
      for (let done = from; done < to; ) {
        const { bytesRead } = await file.read(result, done, to - done, at + done - from);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    }
    return result;
  }

  async close(): Promise<void> {
    await Promise.all(this.pieces.map(({ file }) => file.close()));
  }
}
