/** Reads a video file as a player does. */
import { spawnSync } from 'node:child_process';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny';

/** What a video file says of itself, and its encoded frames. */
export async function readVideo(file: Uint8Array) {
  using input = new Input({ source: new BufferSource(file), formats: ALL_FORMATS });
  const track = (await input.getPrimaryVideoTrack())!;
  const { codec, codedWidth, codedHeight, colorSpace, description } =
    (await track.getDecoderConfig())!;
  const packets = [];
  for await (const packet of new EncodedPacketSink(track).packets()) packets.push(packet);
  return {
    codec,
    size: [codedWidth, codedHeight],
    colorSpace,
    description: description as Uint8Array,
    packets,
    /** When each frame is shown, in seconds. */
    times: packets.map(({ timestamp }) => timestamp).sort((a, b) => a - b),
    duration: await input.computeDuration(),
    /** The numbers of the frames that need no other, as the file lists them. */
    keyFrames: packets.flatMap(({ type }, i) => (type === 'key' ? [i] : [])),
    comment: (await input.getMetadataTags()).comment,
  };
}

/** Whether this machine has an ffmpeg with the encoders that this package uses. */
export const hasFfmpeg = ((encoders) =>
  / libx264 /.test(encoders) && / libvpx-vp9 /.test(encoders))(
  `${spawnSync('ffmpeg', ['-hide_banner', '-encoders']).stdout}`,
);

/** The pixels of all frames, decoded by ffmpeg: RGB, one frame after the other. */
export function decodeByFfmpeg(file: Uint8Array): Buffer {
  const input = ['-v', 'error', '-i', 'pipe:0', '-fps_mode', 'passthrough'];
  const { stdout, stderr } = spawnSync(
    'ffmpeg',
    [...input, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    { input: file, maxBuffer: 2 ** 28 },
  );
  if (stderr.length > 0) throw new Error(stderr.toString());
  return stdout;
}
