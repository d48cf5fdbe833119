/**
 * Encodes pictures as H.264 with the WebAssembly encoder of the package h264-mp4-encoder (minih264,
 * Baseline profile, 4:2:0).
 */
import type { createH264MP4Encoder } from 'h264-mp4-encoder';
import type { RgbImage } from '../image.ts';
import { findBox, type H264Stream } from './muxMp4.ts';

/** The function of the package, which Node and browsers load in different ways. */
export type CreateEncoder = typeof createH264MP4Encoder;
type Encoder = Awaited<ReturnType<CreateEncoder>>;

const KEY_FRAME_EVERY = 60;
const SPEED = 5; // from 0, the slowest, to 10
/** Pictures that a frame refers to: the one before. */
export const REFERENCES = 1;

let encoders = 0;

/**
 * Encodes frames of equal size. Odd widths and heights are made even by repeating the last column
 * or row.
 *
 * @param quantizer 10 (best) to 51.
 * @param signal Stops the encoding between two frames.
 */
export async function encodeH264(
  create: CreateEncoder,
  frames: readonly RgbImage[],
  quantizer: number,
  signal?: AbortSignal,
): Promise<H264Stream> {
  const encoder = await create();
  const [{ width, height }] = frames as [RgbImage];
  const size = { width: width + (width % 2), height: height + (height % 2) };
  Object.assign(encoder, size, {
    quantizationParameter: quantizer,
    speed: SPEED,
    groupOfPictures: KEY_FRAME_EVERY,
  });
  // All encoders share one file system in memory.
  encoder.outputFilename = `${encoders++}.mp4`;
  encoder.initialize();
  try {
    for (const frame of frames) {
      await new Promise((resolve) => setTimeout(resolve)); // so that the signal can abort
      signal?.throwIfAborted();
      encoder.addFrameYuv(toI420(frame));
    }
  } catch (error) {
    finish(encoder);
    throw error;
  }
  return { ...size, ...extractStream(finish(encoder)) };
}

/** Frees the encoder and returns its file. */
function finish(encoder: Encoder): Uint8Array {
  encoder.finalize(); // after an unfinished encoder is deleted, the package works no more
  const file = encoder.FS.readFile(encoder.outputFilename);
  encoder.FS.unlink(encoder.outputFilename);
  encoder.delete();
  return file;
}

/**
 * The pictures of the package's MP4 file. The file itself lacks a key frame table, colours and
 * fractions of a frame rate.
 */
function extractStream(file: Uint8Array): Pick<H264Stream, 'configuration' | 'samples'> {
  const table = ['moov', 'trak', 'mdia', 'minf', 'stbl'];
  const sizes = findBox(file, ...table, 'stsz');
  const view = new DataView(sizes.buffer, sizes.byteOffset, sizes.length);
  const common = view.getUint32(4); // the size of each, or 0 if they differ
  const pictures = findBox(file, 'mdat');
  const samples: Uint8Array[] = [];
  for (let i = 0, at = 0; i < view.getUint32(8); i++) {
    const size = common || view.getUint32(12 + 4 * i);
    samples.push(pictures.subarray(at, at + size));
    at += size;
  }
  return { configuration: findBox(file, ...table, 'stsd', 'avc1', 'avcC'), samples };
}

/**
 * Planes of luma and of both chroma components (BT.601, limited range). The chroma is that of the
 * mean of each 2 x 2 pixels. The package's own conversion takes one of the four, which costs 3 dB.
 */
function toI420({ width, height, data }: RgbImage): Uint8Array {
  const evenWidth = width + (width % 2);
  const evenHeight = height + (height % 2);
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
