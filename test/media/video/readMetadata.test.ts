import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { exportToVideo } from '../../../src/media/video/exportVideo.ts';
import { gifComment, withGifComment } from '../../../src/media/video/gif.ts';
import { readMetadata } from '../../../src/media/video/readMetadata.ts';
import { hasFfmpeg } from './readVideo.ts';

describe('readMetadata', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-metadata-'));
  });
  after(() => rm(folder, { recursive: true }));

  const path = (name: string) => join(folder, name);
  const frame = { width: 4, height: 4, data: new Uint8Array(48) };
  const metadata = { seeds: '[1]', model: 'é "{}" \n 中 😀', long: 'x'.repeat(1000) };

  for (const ending of ['.mp4', '.webm', '.webp', '.gif', '/']) {
    it(`reads what ${ending} stores`, async function () {
      if (ending === '.webm' && !hasFfmpeg) this.skip();
      await exportToVideo([frame, frame], path(`a${ending}`), { metadata });
      expect(await readMetadata(path(`a${ending}`))).to.deep.equal(metadata);
      await exportToVideo([frame, frame], path(`b${ending}`));
      expect(await readMetadata(path(`b${ending}`))).to.equal(undefined);
    });
  }

  it('reads one picture of a folder', async () => {
    await exportToVideo([frame, frame], path('c/'), { metadata });
    expect(await readMetadata(path('c/0001.png'))).to.deep.equal(metadata);
  });

  it('leaves the comments of others', async () => {
    await exportToVideo([frame], path('d.gif'), { metadata: {} });
    const gif = await sharp(frame.data, { raw: { width: 4, height: 4, channels: 3 } })
      .gif()
      .toBuffer();
    for (const comment of ['made by hand', '7', 'null', '{"a":1}', '']) {
      const file = withGifComment(gif, comment);
      expect(gifComment(file)).to.equal(comment);
      await writeFile(path('d.gif'), file);
      expect(await readMetadata(path('d.gif')), comment).to.equal(undefined);
    }
  });

  it('refuses what is neither a video nor a picture', async () => {
    await writeFile(path('e.mp4'), 'no video');
    for (const name of ['e.mp4', 'nowhere.mp4'])
      expect(await readMetadata(path(name)).catch((reason) => reason)).to.be.an('error');
  });
});
