/** The level of an H.264 stream: what a player has to be able to do (ITU-T H.264, table A-1). */

/** A stream of H.264. */
interface Stream {
  /** Size of the coded pictures in pixels. */
  width: number;
  height: number;
  /** The bytes of each. */
  bytes: readonly number[];
}

/** What streams of a level need at most. */
interface Level {
  /** Ten times its number. */
  idc: number;
  /** Macroblocks (16 x 16 pixels) per second. */
  perSecond: number;
  /** Macroblocks per frame. */
  perFrame: number;
  /** Macroblocks in the buffer of decoded pictures. */
  buffered: number;
  /** Bits per second in the Baseline profile. */
  bits: number;
}

const levels: Level[] = (
  [
    [10, 1485, 99, 396, 64],
    [11, 3000, 396, 900, 192],
    [12, 6000, 396, 2376, 384],
    [13, 11880, 396, 2376, 768],
    [20, 11880, 396, 2376, 2000],
    [21, 19800, 792, 4752, 4000],
    [22, 20250, 1620, 8100, 4000],
    [30, 40500, 1620, 8100, 10000],
    [31, 108000, 3600, 18000, 14000],
    [32, 216000, 5120, 20480, 20000],
    [40, 245760, 8192, 32768, 20000],
    [41, 245760, 8192, 32768, 50000],
    [42, 522240, 8704, 34816, 50000],
    [50, 589824, 22080, 110400, 135000],
    [51, 983040, 36864, 184320, 240000],
    [52, 2073600, 36864, 184320, 240000],
    [60, 4177920, 139264, 696320, 240000],
    [61, 8355840, 139264, 696320, 480000],
    [62, 16711680, 139264, 696320, 800000],
  ] as const
).map(([idc, perSecond, perFrame, buffered, kilobits]) => ({
  ...{ idc, perSecond, perFrame, buffered },
  bits: 1000 * kilobits,
}));

/**
 * The lowest level that a stream of the Baseline profile fits in; the highest if it fits in none.
 *
 * @param references Pictures that a frame can refer to.
 * @returns Ten times the number of the level.
 */
export function h264Level(
  { width, height, bytes }: Stream,
  fps: number,
  references: number,
): number {
  const [columns, rows] = [Math.ceil(width / 16), Math.ceil(height / 16)];
  const frame = columns * rows;
  const bits = mostBitsInASecond(bytes, fps);
  const fits = (level: Level) =>
    frame <= level.perFrame &&
    Math.max(columns, rows) ** 2 <= 8 * level.perFrame &&
    frame * fps <= level.perSecond &&
    frame * references <= level.buffered &&
    bits <= level.bits;
  return (levels.find(fits) ?? levels.at(-1)!).idc;
}

function mostBitsInASecond(bytes: readonly number[], fps: number): number {
  const frames = Math.ceil(fps);
  let [bits, most] = [0, 0];
  for (const [i, size] of bytes.entries()) {
    bits += 8 * (size - (bytes[i - frames] ?? 0));
    most = Math.max(most, bits);
  }
  return most;
}

/**
 * The configuration of a stream with another level: in the record itself and in the sequence
 * parameter sets that it holds.
 */
export function withLevel(configuration: Uint8Array, idc: number): Uint8Array {
  const result = configuration.slice();
  result[3] = idc;
  const view = new DataView(result.buffer);
  let at = 6;
  for (let sets = result[5]! & 31; sets > 0; sets--) {
    result[at + 5] = idc; // after the length, the unit's type, the profile and its constraints
    at += 2 + view.getUint16(at);
  }
  return result;
}
