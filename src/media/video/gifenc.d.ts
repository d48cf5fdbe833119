/** What this package uses of gifenc, which has no types of its own. */
declare module 'gifenc/dist/gifenc.esm.js' {
  type Palette = number[][];
  /** @param rgba Four bytes per pixel. */
  export function quantize(rgba: Uint8Array, maxColors: number): Palette;
  export function applyPalette(rgba: Uint8Array, palette: Palette): Uint8Array;
  export function GIFEncoder(): {
    /** @param index One byte per pixel. */
    writeFrame(
      index: Uint8Array,
      width: number,
      height: number,
      options: { palette: Palette; delay?: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array;
  };
}
