/** The modes of offload. They stand apart so that they can be listed without TensorFlow.js. */

/**
 * Where weights are while they are not used: in memory (`none`), or on disk by models or by blocks
 * (`model`, `sequential`). From the fastest to the one that takes the least memory.
 */
export const offloadModes = ['none', 'model', 'sequential'] as const;

/** One of `offloadModes`. */
export type OffloadMode = (typeof offloadModes)[number];
