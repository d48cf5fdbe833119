/** Work on a part of the first axis at a time, so that what is between its steps stays small. */
import * as tf from '@tensorflow/tfjs';
import { alike, deviceName } from './kernels.ts';

/**
 * Bytes that the tensors between two steps may take, where computing in slices gives the same. Of slices that fit into its cache, a processor
 * is not much slower; on others, each costs more than it saves.
 */
export const sliceBytes = (device = deviceName()) => (device === 'tensorflow-cpu' ? 16 : 256) * 2 ** 20;

/**
 * `compute` on slices of the first axis of x, joined. It has to treat the entries of that axis one by one.
 * @param entryBytes What `compute` allocates for one entry.
 */
export function inSlices<T extends tf.Tensor>(x: T, entryBytes: number, compute: (slice: T) => tf.Tensor): tf.Tensor {
  const n = x.shape[0];
  const count = Math.ceil(n / Math.max(1, Math.floor(sliceBytes() / entryBytes)));
  if (count === 1) return compute(x);
  const size = Math.ceil(n / count);
  return tf.tidy(() => {
    const rest = x.shape.slice(1);
    const sizeAt = (i: number) => Math.min(size, n - i * size);
    let shape: number[];
    const part = alike(
      (i) =>
        tf.tidy(() => {
          const result = compute(tf.slice(x, [i * size, ...rest.map(() => 0)], [sizeAt(i), ...rest]));
          shape = result.shape;
          return result;
        }),
      (i) => [sizeAt(i), ...shape.slice(1)],
    );
    return tf.concat(Array.from({ length: Math.ceil(n / size) }, (_, i) => part(i)));
  });
}
