/** Signed addresses of pictures are used, but neither stored nor shown. */
import { readdir, readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { serveWith } from '../../network/servers.ts';
import { folderWithModel, generate, picture, small } from '../runs.ts';

describe('svd generate of a signed address', () => {
  const folder = folderWithModel();

  it('keeps the signature, the name and the password to itself', async () => {
    const content = await readFile(picture('rocket.jpg'));
    const asked: unknown[] = [];
    await using server = await serveWith(({ url, headers }, response) => {
      asked.push([url, headers.authorization]);
      response.end(content);
    });
    const address = `${server.address}/rocket.jpg`;
    const signed = `${address.replace('//', '//me:passwort@')}?X-Amz-Signature=0f1e2d3c#0f1e2d3c`;
    const secrets = ['passwort', '0f1e2d3c', 'X-Amz'];
    for (const name of ['a.mp4', 'a.gif', 'a.webp', 'a.safetensors', 'frames/']) {
      const args = [signed, '--model', folder.path('model'), ...small, '--seed', '1'];
      const dump = folder.path('dump.safetensors');
      const report = await generate([...args, '--output', folder.path(name), '--dump', dump]);
      expect(report.settings.images).to.deep.equal([address]);
      const files = name.endsWith('/')
        ? (await readdir(folder.path(name))).map((file) => folder.path(name) + file)
        : [folder.path(name)];
      const written = await Promise.all([...files, dump].map((file) => readFile(file)));
      for (const secret of secrets) {
        expect(JSON.stringify(report)).to.not.include(secret);
        for (const bytes of written) expect(bytes.includes(secret), name).to.equal(false);
      }
    }
    const basic = `Basic ${Buffer.from('me:passwort').toString('base64')}`;
    expect(asked[0]).to.deep.equal(['/rocket.jpg?X-Amz-Signature=0f1e2d3c', basic]);
  });
});
