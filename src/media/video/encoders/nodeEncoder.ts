/** The H.264 encoder in Node. */
import { createRequire } from 'node:module';
import type { CreateEncoder } from './h264.ts';

/** Loads the package h264-mp4-encoder. */
export function nodeEncoder(): CreateEncoder {
  // At every uncaught error of the program, the package prints its own source, a megabyte. This
  // removes the handlers that do so.
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.flatMap((event): unknown[] => process.rawListeners(event));
  const { createH264MP4Encoder } = createRequire(import.meta.url)('h264-mp4-encoder');
  for (const event of events) {
    const added = process.rawListeners(event).filter((listener) => !before.includes(listener));
    for (const listener of added) process.removeListener(event, listener as () => void);
  }
  return createH264MP4Encoder;
}
