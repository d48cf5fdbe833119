/** Which of the buffers that TensorFlow.js has freed on a WebGPU device serve again. */

/** A tensor of as many bytes takes a free buffer before a new one is made for it. */
export const LARGE = 4 * 2 ** 20;

/**
 * The size of the free buffer that a tensor of so many bytes takes: of a large one, the smallest
 * that it fits into and fills by half. TensorFlow.js itself takes none but of its size.
 */
export function fittingSize(bytes: number, freeSizes: Iterable<number>): number | undefined {
  const most = bytes < LARGE ? bytes : 2 * bytes;
  let best: number | undefined;
  for (const size of freeSizes)
    if (size >= bytes && size <= most && size < (best ?? Number.POSITIVE_INFINITY)) best = size;
  return best;
}
