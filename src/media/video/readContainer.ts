/** Reads video files (MP4, WebM, Matroska) with mediabunny. */
import {
  BufferSource,
  type EncodedPacket,
  EncodedPacketSink,
  Input,
  MATROSKA,
  MP4,
  WEBM,
} from 'mediabunny';
import type { EncodedVideo } from './container.ts';

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
