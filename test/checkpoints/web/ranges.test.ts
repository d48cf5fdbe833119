/** Files that are read in parts from a server that cuts off, changes them, or sends no parts. */
import { randomBytes } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { webRanges } from '../../../src/checkpoints/web/ranges.ts';
import { serve, type TestServer } from '../../browser/serve.ts';
import { expectError, inTemporaryFolder } from '../files.ts';

describe('ranges of a file', () => {
  const content = randomBytes(300_000);

  const served = (use: (server: TestServer, path: string) => Promise<void>) =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'weights');
      writeFileSync(path, content);
      const server = await serve(folder);
      try {
        await use(server, path);
      } finally {
        server.close();
      }
    });

  it('come in one answer if they are asked for together and lie side by side', () =>
    served(async (server) => {
      const file = await webRanges(`${server.address}weights`);
      server.asked = [];
      const places = [
        [100_000, 10],
        [0, 1000],
        [1000, 2000],
        [3005, 5],
        [299_999, 1],
        [5, 0],
      ] as const;
      const read = places.map(async ([position, length]) => {
        const target = new Uint8Array(length);
        await file.read(target, position);
        expect([...target]).to.deep.equal([...content.subarray(position, position + length)]);
      });
      await Promise.all(read);
      expect(server.asked).to.have.members([
        ...['/weights bytes=0-3009', '/weights bytes=100000-100009'],
        '/weights bytes=299999-299999',
      ]);
    }));

  it('go on where the connection was cut', () =>
    served(async (server) => {
      const file = await webRanges(`${server.address}weights`);
      server.asked = [];
      server.cutAfter = 70_000;
      const target = new Uint8Array(200_000);
      await file.read(target, 50_000);
      expect(Buffer.compare(target, content.subarray(50_000, 250_000))).to.equal(0);
      expect(server.asked).to.have.length(2);
      expect(Number(/bytes=(\d+)-249999$/.exec(server.asked[1]!)![1])).to.be.within(
        50_000,
        120_000,
      );
    }));

  it('go on when a server that has answered before does not for a moment', () =>
    served(async (server) => {
      const file = await webRanges(`${server.address}weights`);
      server.cutAfter = 0;
      const target = new Uint8Array(10);
      await file.read(target, 5);
      expect([...target]).to.deep.equal([...content.subarray(5, 15)]);
    }));

  it('are refused once the file has changed', () =>
    served(async (server, path) => {
      const url = `${server.address}weights`;
      const file = await webRanges(url);
      writeFileSync(path, randomBytes(content.length));
      utimesSync(path, new Date(), new Date(Date.now() + 60_000));
      await expectError(
        () => file.read(new Uint8Array(10), 0),
        `${url} has changed on the server since it was opened. Load the model again.`,
      );
      server.versions = false;
      const unversioned = await webRanges(url);
      writeFileSync(path, randomBytes(content.length - 1));
      await expectError(() => unversioned.read(new Uint8Array(10), 0), 'has changed on the server');
    }));
});
