/** What one dispatch of a WebGPU device computes, beyond which TensorFlow.js' programs fail. */

/** The groups of threads along an axis of a dispatch: as many as every device takes. */
export const MOST_GROUPS = 65535;

/** The rows of a product or convolution, its output pixels, that a group computes. */
export const ROWS = 32;
