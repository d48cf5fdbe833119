import { expect } from 'chai';
import { findBox, muxMp4 } from '../../../src/media/video/muxMp4.ts';

const stream = {
  width: 2,
  height: 4,
  configuration: Uint8Array.of(1, 66, 0, 10),
  samples: [Uint8Array.of(0, 0, 0, 2, 0x65, 7), Uint8Array.of(0, 0, 0, 1, 0x41)],
};

describe('muxMp4', () => {
  it('puts samples and configuration into the file as they are', () => {
    const file = muxMp4(stream, 7);
    expect([...findBox(file, 'mdat')]).to.deep.equal([0, 0, 0, 2, 0x65, 7, 0, 0, 0, 1, 0x41]);
    expect([
      ...findBox(file, 'moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'avc1', 'avcC'),
    ]).to.deep.equal([1, 66, 0, 10]);
  });

  it('finds the key frame behind other units', () => {
    const samples = [
      Uint8Array.of(0, 0, 0, 1, 0x67, 0, 0, 0, 1, 0x65),
      Uint8Array.of(0, 0, 0, 1, 0x41),
    ];
    expect([
      ...findBox(muxMp4({ ...stream, samples }, 7), 'moov', 'trak', 'mdia', 'minf', 'stbl', 'stss'),
    ]).to.deep.equal([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  });

  it('has boxes that fill each other exactly', () => {
    const within = {
      moov: 0,
      trak: 0,
      mdia: 0,
      minf: 0,
      dinf: 0,
      stbl: 0,
      stsd: 8,
      avc1: 78,
      udta: 0,
      meta: 4,
      ilst: 0,
      '\xa9cmt': 0,
      dref: 8,
    } as const;
    const seen: string[] = [];
    const walk = (bytes: Uint8Array) => {
      let at = 0;
      while (at < bytes.length) {
        const size = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
        const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
        seen.push(type);
        if (type in within)
          walk(bytes.subarray(at + 8 + within[type as keyof typeof within], at + size));
        at += size;
      }
      expect(at).to.equal(bytes.length);
    };
    walk(muxMp4(stream, 7, 'comment'));
    expect(seen.join(' ')).to.equal(
      'ftyp moov mvhd trak tkhd mdia mdhd hdlr minf vmhd dinf dref url  stbl stsd avc1 avcC ' +
        'colr stts stss stsc stsz stco udta meta hdlr ilst \xa9cmt data mdat',
    );
  });
});

describe('findBox', () => {
  it('says which box is missing', () => {
    expect(() => findBox(muxMp4(stream, 7), 'moov', 'udta')).to.throw(
      'The video has no "udta" box.',
    );
    expect(() => findBox(new Uint8Array(20), 'moov')).to.throw('The video has no "moov" box.');
  });
});
