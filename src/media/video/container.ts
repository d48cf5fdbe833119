/** Reads and writes video files (MP4, WebM, Matroska) with mediabunny. */
import {
  BufferSource,
  BufferTarget,
  type EncodedPacket,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  Input,
  MATROSKA,
  MP4,
  Mp4OutputFormat,
  Output,
  type VideoCodec,
  type VideoSource,
  WEBM,
  WebMOutputFormat,
} from 'mediabunny';
import { colorSpace } from './yuv.ts';

/** What a video file is written as. */
export interface ContainerOptions {
  format: 'mp4' | 'webm';
  /** Frames per second. */
  fps: number;
  /** The text for the comment field that players show. */
  comment?: string;
}

/** Encoded frames, in the order in which they are decoded. */
export interface EncodedVideo {
  codec: VideoCodec;
  config: VideoDecoderConfig;
  packets: EncodedPacket[];
}

/** The encoded frames of a video file. */
export async function readContainer(file: Uint8Array): Promise<EncodedVideo> {
  using input = inputOf(file);
  const track = await input.getPrimaryVideoTrack();
  const [codec, config] = [await track?.getCodec(), await track?.getDecoderConfig()];
  if (!track || !codec || !config) throw new Error('The file holds no video.');
  const packets: EncodedPacket[] = [];
  // Not every encoder's file says which frames are key frames.
  const options = { verifyKeyPackets: true };
  for await (const packet of new EncodedPacketSink(track).packets(undefined, undefined, options))
    packets.push(packet);
  return { codec, config, packets };
}

/** The comment of a video file. */
export async function readComment(file: Uint8Array): Promise<string | undefined> {
  using input = inputOf(file);
  return (await input.getMetadataTags()).comment;
}

const inputOf = (file: Uint8Array) =>
  new Input({ source: new BufferSource(file), formats: [MP4, WEBM, MATROSKA] });

/** A video file of encoded frames, each at its multiple of the rate. */
export function writePackets(
  { codec, config, packets }: EncodedVideo,
  options: ContainerOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const source = new EncodedVideoPacketSource(codec);
  const { fps } = options;
  // Files may have rounded the times. Frames that others refer to come before those.
  const times = packets.map(({ timestamp }) => timestamp).sort((a, b) => a - b);
  const meta = { decoderConfig: { ...config, colorSpace } };
  return writeContainer(source, options, async () => {
    for (const packet of packets) {
      const timestamp = times.indexOf(packet.timestamp) / fps;
      await source.add(packet.clone({ timestamp, duration: 1 / fps }), meta);
    }
  });
}

/**
 * A video file, index first, so that it plays while it is still being downloaded. Equal frames make
 * equal bytes.
 *
 * @param fill Sends all frames through `source`.
 */
export async function writeContainer(
  source: VideoSource,
  { format, fps, comment }: ContainerOptions,
  fill: () => Promise<void>,
): Promise<Uint8Array<ArrayBuffer>> {
  const target = new BufferTarget();
  let index = { at: 0, size: 0 };
  const onMoov = (data: Uint8Array, at: number) => {
    index = { at, size: data.length };
  };
  const output = new Output({
    format:
      format === 'mp4'
        ? new Mp4OutputFormat({ fastStart: 'in-memory', onMoov })
        : new WebMOutputFormat(),
    target,
  });
  output.addVideoTrack(source, { frameRate: fps });
  if (comment !== undefined) output.setMetadataTags({ comment });
  try {
    await output.start();
    await fill();
    await output.finalize();
  } catch (error) {
    await output.cancel();
    throw error;
  }
  const file = new Uint8Array(target.buffer!);
  if (format === 'mp4') removeTimes(file.subarray(index.at, index.at + index.size));
  return file;
}

/** Removes the time of making from the three boxes of an index that have it. */
function removeTimes(index: Uint8Array): void {
  let at = 0;
  for (const type of ['mvhd', 'tkhd', 'mdhd']) {
    const letters = [...type].map((letter) => letter.charCodeAt(0));
    while (letters.some((letter, i) => index[at + i] !== letter)) at++;
    const isLong = index[at + 4] === 1; // the version of the box
    index.fill(0, at + 8, at + (isLong ? 24 : 16));
  }
}
