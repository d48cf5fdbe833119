/** The types of pictures between media files and the pipeline. */

/** An 8-bit RGB picture. */
export interface RgbImage {
  /** Width in pixels. */
  width: number;
  /** Height in pixels. */
  height: number;
  /** `height * width * 3` bytes, rows from top to bottom, red first. */
  data: Uint8Array;
}

/** Float32 values with their shape, last axis fastest. */
export interface FloatArray {
  /** The values, row-major. */
  data: Float32Array;
  /** Sizes of the axes. */
  shape: number[];
}
