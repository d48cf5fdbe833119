import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';

const FOLDER = 'test/fixtures/media';
const PHOTO = `${FOLDER}/jpeg_420.jpg`;
const pillow: Record<string, { width: number; height: number; sha256: string }> = JSON.parse(
  await readFile(`${FOLDER}/pictures.json`, 'utf8'),
);

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

describe('loadImage', () => {
  describe('returns the same bytes as Pillow for', () => {
    for (const [path, expected] of Object.entries(pillow)) {
      it(path, async () => {
        const { width, height, data } = await loadImage(path);
        expect({ width, height, sha256: sha256(data) }).to.deep.equal(expected);
      });
    }
  });

  it('reads bytes, file addresses and data addresses like paths', async () => {
    const bytes = await readFile(PHOTO);
    const expected = await loadImage(PHOTO);
    const url = pathToFileURL(PHOTO);
    for (const source of [
      bytes,
      new Uint8Array(bytes),
      url,
      url.href,
      `data:image/jpeg;base64,${bytes.toString('base64')}`,
    ]) {
      expect(await loadImage(source)).to.deep.equal(expected);
    }
  });

  it('warns that 16-bit grey loses its bright tones', async () => {
    const warnings: string[] = [];
    const { warn } = console;
    console.warn = (text: string) => warnings.push(text);
    try {
      await loadImage(`${FOLDER}/grey_16.png`);
    } finally {
      console.warn = warn;
    }
    expect(warnings.join()).to.match(/16-bit grey/);
  });

  describe('over http', () => {
    let server: Server;
    let address: string;
    before(async () => {
      const bytes = await readFile(PHOTO);
      server = createServer((request, response) => {
        if (request.url === '/photo.jpg') response.end(bytes);
        else response.writeHead(404).end('no such page');
      });
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(() => server.close());

    it('fetches a picture', async () => {
      const expected = await loadImage(PHOTO);
      expect(await loadImage(`${address}/photo.jpg`)).to.deep.equal(expected);
      expect(await loadImage(new URL('/photo.jpg', address))).to.deep.equal(expected);
    });

    it('says the status of a failed request', async () => {
      expect(await messageOf(loadImage(`${address}/other.jpg`))).to.match(
        /other\.jpg" could not be fetched \(status 404 Not Found\)\. Check/,
      );
    });

    it('says why a server cannot be reached', async () => {
      expect(await messageOf(loadImage('http://127.0.0.1:1/photo.jpg'))).to.match(
        /could not be fetched \(.+\)\. Check the address/,
      );
    });
  });

  describe('refuses', () => {
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'svd-load-'));
    });
    after(() => rm(folder, { recursive: true }));

    const refuses = (
      what: string,
      name: string,
      content: () => Promise<Uint8Array | string>,
      message: RegExp,
    ) =>
      it(what, async () => {
        const path = join(folder, name);
        await writeFile(path, await content());
        expect(await messageOf(loadImage(path))).to.match(message);
        expect(await messageOf(loadImage(new Uint8Array(await readFile(path))))).to.match(message);
      });
    const part = async (path: string, share: number) => {
      const bytes = await readFile(path);
      return bytes.subarray(0, Math.floor(bytes.length * share));
    };

    refuses(
      'text',
      'notes.png',
      async () => 'not a picture',
      /is not a picture of a known kind\. Use PNG, JPEG/,
    );
    refuses('an empty file', 'empty.jpg', async () => '', /is empty \(0 bytes\)/);
    refuses(
      'a truncated JPEG',
      'half.jpg',
      () => part(PHOTO, 0.5),
      /is damaged or cut short \(.*premature end.*\)\. Get/,
    );
    refuses(
      'a JPEG without its end',
      'most.jpg',
      () => part(PHOTO, 0.99),
      /is damaged or cut short/,
    );
    refuses(
      'a truncated PNG',
      'half.png',
      () => part(`${FOLDER}/rgb.png`, 0.5),
      /is damaged or cut short/,
    );
    refuses(
      'a truncated WebP',
      'half.webp',
      () => part(`${FOLDER}/lossy.webp`, 0.5),
      /is damaged or cut short/,
    );
    refuses(
      'a truncated GIF',
      'half.gif',
      () => part(`${FOLDER}/palette.gif`, 0.5),
      /is damaged or cut short/,
    );
    refuses(
      'only a header',
      'header.png',
      () => part(`${FOLDER}/rgb.png`, 0.004),
      /is damaged or cut short/,
    );

    it('a missing file, with the place it looked at', async () => {
      expect(await messageOf(loadImage('nowhere/missing.png'))).to.match(
        /^There is no picture "nowhere\/missing\.png" \(looked at \/.*\)\. Check/,
      );
    });

    it('a folder', async () => {
      expect(await messageOf(loadImage(folder))).to.match(/is a folder, not a picture/);
    });

    it('a path through a file', async () => {
      expect(await messageOf(loadImage(`${PHOTO}/x.png`))).to.match(/cannot be read \(ENOTDIR\)/);
    });

    it('an unreadable file', async () => {
      if (process.getuid?.() === 0) {
        // Nothing is unreadable to the superuser, so the file counts as read.
        const path = join(folder, 'open.jpg');
        await writeFile(path, await readFile(PHOTO), { mode: 0o000 });
        expect((await loadImage(path)).width).to.equal(83);
        return;
      }
      const path = join(folder, 'locked.jpg');
      await writeFile(path, await readFile(PHOTO));
      await chmod(path, 0o000);
      expect(await messageOf(loadImage(path))).to.match(
        /cannot be read \(EACCES\)\. Check its permissions/,
      );
    });
  });
});
