import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { renderSvg } from '../../../src/media/pictures/svg.ts';

const svg = (content: string, size = 'width="4" height="2"') =>
  Buffer.from(
    `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" ${size}>${content}</svg>`,
  );

describe('SVG', () => {
  it('is drawn in its own size', async () => {
    const { width, height, data } = await loadImage(
      svg('<rect width="2" height="2" fill="#102030"/>'),
    );
    expect([width, height]).to.deep.equal([4, 2]);
    expect([...data.subarray(0, 9)]).to.deep.equal([16, 32, 48, 16, 32, 48, 0, 0, 0]);
  });

  it('does not read other files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'svd-svg-'));
    try {
      const secret = join(folder, 'secret.png');
      await sharp({ create: { width: 4, height: 2, channels: 3, background: 'red' } }).toFile(
        secret,
      );
      for (const href of [pathToFileURL(secret).href, secret]) {
        const { data } = await loadImage(svg(`<image width="4" height="2" href="${href}"/>`));
        expect([...data]).to.deep.equal(Array(24).fill(0));
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('ends when it takes too long', async () => {
    const filter = '<filter id="f"><feTurbulence baseFrequency="0.05" numOctaves="200"/></filter>';
    const area = 'width="4000" height="4000"';
    const rects = `<rect ${area} filter="url(#f)"/>`.repeat(50);
    const error = await renderSvg(svg(filter + rects, area), 1e8, 1).catch(String);
    expect(error).to.equal('Error: drawing the SVG took more than 1 s; save it as PNG');
  });

  it('is refused when it is too large or damaged', async () => {
    for (const [file, message] of [
      [svg('', 'width="30000" height="30000"'), /has more than 179 million pixels/],
      [svg('<rect'), /is damaged or cut short/],
    ] as const) {
      expect(String(await loadImage(file).catch(String))).to.match(message);
    }
  });
});
