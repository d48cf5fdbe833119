/** The picture types that travel between media files and the pipeline. */

/** An 8-bit RGB picture. */
export interface RgbImage {
  /** In pixels. */
  width: number;
  /** In pixels. */
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
