import { expect } from 'chai';
import { EncodedPacket } from 'mediabunny';
import { readComment, readContainer, writePackets } from '../../../src/media/video/container.ts';
import { readVideo } from './readVideo.ts';

/** The parameter sets of H.264 for 16 x 16 pixels. */
const description = Uint8Array.of(
  ...[1, 66, 0, 10, 0xff, 0xe1, 0, 8, 0x67, 66, 0, 10, 0xf8, 0x41, 0xa2, 0],
  ...[1, 0, 4, 0x68, 0xce, 0x38, 0x80],
);
const config = { codec: 'avc1.42000a', codedWidth: 16, codedHeight: 16, description };
/** One frame, which an encoder gave the time `timestamp`. */
const packet = (unit: number, timestamp: number) =>
  new EncodedPacket(
    Uint8Array.of(0, 0, 0, 2, unit, 7),
    unit === 0x65 ? 'key' : 'delta',
    timestamp,
    0.1,
  );
const video = (...packets: EncodedPacket[]) => ({ codec: 'avc' as const, config, packets });

describe('writePackets', () => {
  const still = video(packet(0x65, 0), packet(0x41, 0.143), packet(0x41, 0.286));

  it('puts packets and configuration into the file as they are', async () => {
    const file = await readVideo(await writePackets(still, { format: 'mp4', fps: 7 }));
    expect(file.packets.map(({ data }) => [...data])).to.deep.equal(
      still.packets.map(({ data }) => [...data]),
    );
    expect([...file.description]).to.deep.equal([...description]);
  });

  it('shows each frame at its multiple of the rate, whatever time it had', async () => {
    const { times, duration } = await readVideo(
      await writePackets(still, { format: 'mp4', fps: 7 }),
    );
    expect(times).to.deep.equal([0, 1 / 7, 2 / 7]);
    expect(duration).to.be.closeTo(3 / 7, 1e-9);
  });

  it('keeps the order of frames that refer to later ones', async () => {
    const referring = video(packet(0x65, 0.2), packet(0x41, 0.6), packet(0x41, 0.4));
    const { packets } = await readVideo(await writePackets(referring, { format: 'mp4', fps: 5 }));
    expect(packets.map(({ timestamp }) => timestamp)).to.deep.equal([0, 0.4, 0.2]);
  });

  it('keeps a comment of any length', async () => {
    for (const comment of ['{"seed":"42"}', 'x'.repeat(100_000), 'mvhd tkhd mdhd']) {
      const file = await writePackets(still, { format: 'mp4', fps: 7, comment });
      expect(await readComment(file)).to.equal(comment);
    }
    expect(await readComment(await writePackets(still, { format: 'mp4', fps: 7 }))).to.equal(
      undefined,
    );
  });

  it('does not tell when the file was made', async () => {
    const file = Buffer.from(await writePackets(still, { format: 'mp4', fps: 7 }));
    for (const box of ['mvhd', 'tkhd', 'mdhd']) {
      const at = file.indexOf(box) + 8;
      expect([...file.subarray(at, at + 8)], box).to.deep.equal(Array(8).fill(0));
    }
  });
});

describe('readContainer', () => {
  it('looks into packets for key frames', async () => {
    const wrong = video(packet(0x65, 0), packet(0x41, 0.1).clone({ type: 'key' }));
    const file = await writePackets(wrong, { format: 'mp4', fps: 10 });
    expect((await readVideo(file)).keyFrames).to.deep.equal([0, 1]);
    const { packets } = await readContainer(file);
    expect(packets.map(({ type }) => type)).to.deep.equal(['key', 'delta']);
  });

  it('refuses what is no video', async () => {
    const error = await readContainer(new Uint8Array(20)).catch((reason: Error) => reason);
    expect(error).to.be.an('error');
  });
});
