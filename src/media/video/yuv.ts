/** Pictures as video encoders take them: YUV 4:2:0 with even sides. */
import type { RgbImage } from '../image.ts';

/** The colours of `toI420`, which files say: without it players guess by the size. */
export const colorSpace = {
  primaries: 'bt709',
  transfer: 'iec61966-2-1', // sRGB
  matrix: 'smpte170m', // BT.601
  fullRange: false,
} as const;

/** A size with even sides, which 4:2:0 needs. */
export const evenSize = ({ width, height }: { width: number; height: number }) => ({
  width: width + (width % 2),
  height: height + (height % 2),
});

/**
 * Planes of luma and of both chroma components (BT.601, limited range). The chroma is that of the
 * mean of each 2 x 2 pixels: that of one of the four would cost 3 dB. Odd sides are made even by
 * repeating the last column or row.
 */
export function toI420({ width, height, data }: RgbImage): Uint8Array {
  const { width: evenWidth, height: evenHeight } = evenSize({ width, height });
  const planes = new Uint8ClampedArray((evenWidth * evenHeight * 3) / 2);
  const cb = evenWidth * evenHeight;
  const cr = cb + cb / 4;
  for (let y = 0; y < evenHeight; y += 2) {
    for (let x = 0; x < evenWidth; x += 2) {
      let r = 0;
      let g = 0;
      let b = 0;
      for (const row of [y, y + 1]) {
        for (const column of [x, x + 1]) {
          const from = (Math.min(row, height - 1) * width + Math.min(column, width - 1)) * 3;
          const [red, green, blue] = [data[from]!, data[from + 1]!, data[from + 2]!];
          planes[row * evenWidth + column] =
            16 + 0.256788 * red + 0.504129 * green + 0.097906 * blue;
          r += red / 4;
          g += green / 4;
          b += blue / 4;
        }
      }
      const at = ((y / 2) * evenWidth) / 2 + x / 2;
      planes[cb + at] = 128 - 0.148223 * r - 0.290993 * g + 0.439216 * b;
      planes[cr + at] = 128 + 0.439216 * r - 0.367788 * g - 0.071427 * b;
    }
  }
  return new Uint8Array(planes.buffer);
}
