/**
 * Keeps the pipelines of a process on one backend: TensorFlow.js computes on one at a time, and
 * moves weights of another one to it without a word.
 */
import * as tf from '@tensorflow/tfjs-core';
import { backendOf } from '../../backends/types.ts';
import { allFreed, inTurn } from '../turns.ts';

/** The pipelines that are loaded, and their backend. */
const loaded = { backend: 'auto', pipelines: 0 };

/**
 * Counts one more pipeline on a backend.
 * @param choice A backend, or `auto`: that of the other pipelines, if there are any.
 * @param use Makes a backend the current one.
 * @returns A function that counts it as freed.
 * @throws Error if other pipelines are on another backend; what `use` throws.
 */
export function joinBackend(
  choice: string,
  use: (choice: string) => Promise<unknown>,
): Promise<() => void> {
  return inTurn([loaded], async () => {
    await allFreed();
    const others = loaded.pipelines > 0 ? loaded.backend : choice;
    if (choice !== 'auto' && backendOf(choice) !== backendOf(others)) {
      throw new Error(
        `Pipelines of one process have to be on one backend: one is on ${others}, so that this ` +
          `one cannot be on ${choice}. Dispose of the other first, or use \`backend\` ${others}.`,
      );
    }
    await use(choice === 'auto' ? others : choice);
    loaded.backend = tf.getBackend();
    loaded.pipelines++;
    return () => {
      loaded.pipelines--;
    };
  });
}
