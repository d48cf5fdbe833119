/** Which of the buffers that TensorFlow.js has freed on a WebGPU device serve again. */

/** A tensor of as many bytes takes a free buffer before a new one is made for it. */
export const LARGE = 4 * 2 ** 20;

/** A new buffer for a tensor of as many bytes costs more than half of a free one left unused. */
export const HUGE = 16 * LARGE;

/**
 * The size of the free buffer that a tensor of so many bytes takes: of a large one, the smallest
 * that it fits into and fills by two thirds; of a huge one, by half. TensorFlow.js itself takes none
 * but of its size.
 */
export function fittingSize(bytes: number, freeSizes: Iterable<number>): number | undefined {
  const most = bytes * (bytes < LARGE ? 1 : bytes < HUGE ? 1.5 : 2);
  let best: number | undefined;
  for (const size of freeSizes)
    if (size >= bytes && size <= most && size < (best ?? Number.POSITIVE_INFINITY)) best = size;
  return best;
}
