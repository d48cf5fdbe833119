import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { warningsOf } from '../../harness/warnings.ts';

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

const part = async (path: string, share: number) => {
  const bytes = await readFile(path);
  return bytes.subarray(0, Math.floor(bytes.length * share));
};

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

  it('reads the file from a buffer, a typed array, a Blob, a File and a stream', async () => {
    const bytes = await readFile(PHOTO);
    const expected = await loadImage(PHOTO);
    const buffer = new Uint8Array(bytes).buffer;
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    for (const source of [
      buffer,
      shared,
      new Uint8ClampedArray(buffer),
      new DataView(buffer),
      new Blob([bytes]),
      new File([bytes], 'a.png'),
      new Blob([bytes]).stream(),
      createReadStream(PHOTO),
    ]) {
      expect(await loadImage(source)).to.deep.equal(expected);
    }
  });

  it('waits for the writer of a pipe', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'svd-pipe-'));
    const pipe = join(folder, 'picture.jpg');
    execFileSync('mkfifo', [pipe]);
    const loading = loadImage(pipe);
    const [first, second] = [await part(PHOTO, 0.5), await readFile(PHOTO)];
    const writer = await open(pipe, 'w');
    await writer.write(first);
    await new Promise((resolve) => setTimeout(resolve));
    await writer.write(second.subarray(first.length));
    await writer.close();
    expect(await loading).to.deep.equal(await loadImage(PHOTO));
    await rm(folder, { recursive: true });
  });

  it('says what it takes instead of anything else', async () => {
    for (const source of [5, null, undefined, {}]) {
      expect(await messageOf(loadImage(source as unknown as string))).to.match(
        /^loadImage does not take .*Pass a path, an address, or a picture file/,
      );
    }
    const text = createReadStream(PHOTO, 'utf8');
    expect(await messageOf(loadImage(text))).to.match(/has string chunks\. Pass a stream of bytes/);
  });

  it('refuses options that it has not', async () => {
    const load = (options: object) => messageOf(loadImage(PHOTO, options));
    expect(await load({ max_pixels: 5 })).to.equal(
      '`loadImage` has no option `max_pixels`. Use `maxPixels`.',
    );
    expect(await load({ maxPixels: 'many' })).to.match(/has to be a number above 0 but is "many"/);
  });

  it('warns that 16-bit grey loses its bright tones', async () => {
    const warnings = await warningsOf(() => loadImage(`${FOLDER}/grey_16.png`));
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
        /other\.jpg" could not be fetched \(it answers with status 404 Not Found\)\. Check/,
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
    refuses(
      'text',
      'notes.png',
      async () => 'not a picture',
      /is a text that begins with .*, not a picture: download it again/,
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

    const box = (kind: string) => async () => `\0\0\0\x18ftyp${kind}\0\0\0\0${kind}`;
    const latin1 = (text: string) => async () => Buffer.from(text, 'latin1');
    for (const [file, kind, content] of [
      ['a.heic', 'HEIC', box('heic')],
      ['a.jpg', 'HEIC', box('mif1')],
      ['a.mp4', 'a video', box('isom')],
      ['a.jxl', 'JPEG XL', latin1('\xff\x0a\xfa\x1f')],
      ['a.jp2', 'JPEG 2000', latin1('\0\0\0\x0cjP  \r\n\x87\n')],
      ['a.j2k', 'JPEG 2000', latin1('\xff\x4f\xff\x51\0\x29')],
      ['a.jls', 'JPEG-LS', latin1('\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\x01')],
      ['b.jpg', 'a JPEG of 12 bits', latin1('\xff\xd8\xff\xc1\0\x0b\x0c\0\x10\0\x10\x01')],
      ['c.jpg', 'a lossless JPEG', latin1('\xff\xd8\xff\xc3\0\x0b\x08\0\x10\0\x10\x01')],
      ['a.ico', 'an icon', latin1('\0\0\x01\0\x01\0\x10\x10\0\0')],
      ['a.tga', 'TGA', latin1(`\0\0\x02${'\0'.repeat(9)}\x10\0\x10\0\x18\0`)],
      ['a.psd', 'a Photoshop file', latin1('8BPS\0\x01')],
      ['a.pdf', 'a PDF', latin1('%PDF-1.7')],
      ['d.jpg', 'a web page', latin1('<!DOCTYPE html><title>Log in</title>')],
      ['e.png', 'a Git LFS pointer', latin1('version https://git-lfs.github.com/spec/v1\n')],
      ['a.zip', 'a zip archive', latin1('PK\x03\x04\x14\0')],
      ['b.zip', 'a gzip archive', latin1('\x1f\x8b\x08\0')],
      [
        'f.jpg',
        'an XML text, such as a message of a server',
        latin1('<?xml version="1.0"?><Error>'),
      ],
      ['g.jpg', 'a text that begins with "Not Found"', latin1('Not Found')],
      ['h.jpg', 'a NumPy array', latin1('\x93NUMPY\x01\0')],
      ['i.jpg', 'a web page', latin1('<html><svg width="1"><p>')],
    ] as const) {
      const message = new RegExp(
        `is ${kind}.*, (which is not read\\. (Convert|Take)|not a picture: (download|fetch|unpack|use))`,
      );
      refuses(`${file} as ${kind}`, file, content, message);
    }

    it('a TIFF of Lab colours', async () => {
      const tiff = await readFile(`${FOLDER}/rgb.tif`);
      const colours = tiff.indexOf(Buffer.from([6, 1, 3, 0, 1, 0, 0, 0, 2, 0])); // tag 262: RGB
      tiff[colours + 8] = 8;
      expect(await messageOf(loadImage(tiff))).to.match(/is a Lab TIFF, which is not read/);
    });

    it('more pixels than allowed, before decoding them', async () => {
      for (const path of [PHOTO, `${FOLDER}/bmp_24.bmp`, `${FOLDER}/pnm_6.ppm`]) {
        expect(await messageOf(loadImage(path, { maxPixels: 50 }))).to.match(/has more than/);
      }
      // A lossless WebP of 16383x16383
      const bomb = Buffer.from('UklGRhoAAABXRUJQVlA4TA4AAAAv/r//D4iICAAAAAAAAA==', 'base64');
      expect(await messageOf(loadImage(bomb))).to.match(/has more than 179 million pixels/);
    });

    it('a BMP and a PNM that are cut short', async () => {
      for (const name of ['bmp_4.bmp', 'bmp_24_os2.bmp', 'pnm_3.ppm', 'pnm_4.pbm', 'pnm_5.pgm']) {
        const cut = await part(`${FOLDER}/${name}`, 0.9);
        expect(await messageOf(loadImage(cut)), name).to.match(/is damaged or cut short/);
      }
      const header = await readFile(`${FOLDER}/bmp_24.bmp`);
      for (const length of [2, 4, 20, 40]) {
        const short = header.subarray(0, length);
        expect(await messageOf(loadImage(short))).to.match(
          /cut short \(it has \d+ of its \d+ bytes/,
        );
      }
      const wide = (await readFile(`${FOLDER}/bmp_24.bmp`)).subarray(0, 54);
      wide.set([0, 0x30, 0, 0, 0, 0x30], 18); // 12288 pixels each way
      const before = process.memoryUsage().arrayBuffers;
      expect(await messageOf(loadImage(wide))).to.match(/it has 54 of its \d+ bytes/);
      for (const text of ['P3 12288 12288 255\n0', 'P1 12288 12288\n0'])
        expect(await messageOf(loadImage(Buffer.from(text)))).to.match(/of its \d+ bytes/);
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(2 ** 26);
    });

    it('a device, and a file that is too large', async () => {
      expect(await messageOf(loadImage('/dev/zero'))).to.match(/is a device, not a picture/);
      const path = join(folder, 'large.png');
      await writeFile(path, '');
      await truncate(path, 2 ** 31);
      expect(await messageOf(loadImage(path))).to.match(/more than 1 GiB/);
    });

    it('a missing file, with the place it looked at', async () => {
      expect(await messageOf(loadImage('nowhere/missing.png'))).to.match(
        /^There is no picture "nowhere\/missing\.png" \(looked at \/.*\)\. Check/,
      );
    });

    it('an address of another kind', async () => {
      for (const address of ['ftp://x.example/a.png', 's3://bucket/a.png', 'blob:nodedata:x'])
        expect(await messageOf(loadImage(address))).to.match(/is an address that is not read/);
    });

    it('a folder', async () => {
      expect(await messageOf(loadImage(folder))).to.match(/is a folder, not a picture/);
    });

    it('a path through a file', async () => {
      expect(await messageOf(loadImage(`${PHOTO}/x.png`))).to.match(
        /cannot be read \(ENOTDIR\)\. Check the path/,
      );
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
