/**
 * The names of what operations can run as. They stand apart from the operations, so that the
 * command line can show them without loading TensorFlow.js.
 */

/**
 * Which formulations may run: the fastest for the device, those for graphics cards (on the
 * tensorflow backend), or the plain ones.
 */
export const formulationSets = ['fastest', 'gpu', 'plain'] as const;
/** The name of one of them. */
export type FormulationSet = (typeof formulationSets)[number];

/**
 * The types that products and convolutions can compute in. Everything else, norms and softmax
 * above all, is always float32.
 */
export const computeDtypes = ['float32', 'float16', 'bfloat16'] as const;
/** The name of one of them. */
export type ComputeDtype = (typeof computeDtypes)[number];
