/** The picture types that travel between media files and the pipeline. */

/** An 8-bit RGB picture. */
export interface RgbImage {
  width: number;
  height: number;
  /** `height * width * 3` bytes, rows from top to bottom, red first. */
  data: Uint8Array;
}

/** Float32 values with their shape, last axis fastest. */
export interface FloatArray {
  data: Float32Array;
  shape: number[];
}
