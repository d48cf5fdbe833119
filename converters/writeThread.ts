/** A thread that writes, while others read, turn and hash. */
import { Worker } from 'node:worker_threads';

/** Bytes of the data, from one index to another, for a place in a file. */
export interface Span {
  fd: number;
  from: number;
  to: number;
  at: number;
}

/**
 * What the thread runs, as text like that of the hashes. It writes as little at a time as `cat`
 * does: for larger writes, Linux looks for large pages in a row, which made 3 GB take 20 instead of
 * 5 seconds.
 */
const threadSource = `
const { writeSync } = require('node:fs');
const { parentPort } = require('node:worker_threads');
parentPort.on('message', ({ data, spans }) => {
  try {
    for (const { fd, from, to, at } of spans) {
      for (let done = from; done < to; ) {
        done += writeSync(fd, data, done, Math.min(2 ** 17, to - done), at + done - from);
      }
    }
    parentPort.postMessage(undefined);
  } catch ({ message, code, syscall }) {
    parentPort.postMessage({ message, code, syscall });
  }
});`;

type Answer = { message: string; code?: string; syscall?: string } | undefined;

export class WriteThread {
  private readonly worker = new Worker(threadSource, { eval: true });
  private readonly waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor() {
    this.worker.on('message', (answer: Answer) => {
      const { resolve, reject } = this.waiting.shift()!;
      if (answer === undefined) resolve();
      else
        reject(
          Object.assign(new Error(answer.message), { code: answer.code, syscall: answer.syscall }),
        );
    });
    this.worker.on('error', (error) => {
      for (const { reject } of this.waiting.splice(0)) reject(error as Error);
    });
  }

  /**
   * Writes the spans of `data`, which cover it. Memory that is not shared is copied. @throws What
   * the file system says.
   */
  write(data: Uint8Array, spans: Span[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage({ data, spans });
    });
  }

  /** Ends the thread. Nothing may be being written. */
  async close(): Promise<void> {
    await this.worker.terminate();
  }
}
