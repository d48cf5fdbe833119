/** The command `svd batch` as a process: its output, its files, its exit codes, and signals. */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { folderWithModel, onTestBackend, picture, small, startSvd, svd } from '../runs.ts';

describe('the command svd batch', () => {
  const folder = folderWithModel();
  const at = (name: string) => folder.path(name);
  const words = (...more: string[]) => [
    ...['batch', at('set'), '--output-dir', at('out'), '--model', at('model')],
    ...[...onTestBackend, ...small, '--seed', '1', ...more],
  ];

  before(async () => {
    await mkdir(at('set'));
    await copyFile(picture('cat.png'), at('set/a&b "c".png'));
    await copyFile(picture('cat.png'), at('set/d.png'));
  });
  beforeEach(() => rm(at('out'), { recursive: true, force: true }));

  it('prints what it makes, and lists what has failed in the end, in a report and on a page', async () => {
    await writeFile(at('set/broken.png'), 'nonsense');
    const { code, stdout, stderr } = await svd(...words());
    await rm(at('set/broken.png'));
    expect(code, stderr).to.equal(1);
    expect(stdout.trim().split('\n')).to.deep.equal([at('out/a&b "c".mp4'), at('out/d.mp4')]);
    expect(stderr.trim().split('\n').at(-1)).to.equal(
      `error: 1 of 3 pictures failed: ${at('set/broken.png')}. ${at('out/report.csv')} says why. ` +
        'The same command tries them again.',
    );
    const report = await readFile(at('out/report.csv'), 'utf8');
    expect(report).to.match(/^picture,output,state,seconds,sha256,error,/);
    expect(report).to.match(/broken\.png,broken\.mp4,failed,,,"?The file .* not a picture/);
    expect(report).to.match(/d\.png,d\.mp4,done,\d+\.\d,[0-9a-f]{64},,/);
    const page = await readFile(at('out/index.html'), 'utf8');
    expect(page).to.contain('src="a%26b%20%22c%22.mp4" poster="data:image/jpeg;base64,');
    expect(page).to.contain('a&amp;b &quot;c&quot;.png').and.contain('16').and.contain('2 done');
    expect(page).not.to.match(/(src|href)="(https?:|\/)/);
    const names = await readdir(at('out'));
    expect(names.filter((name) => name.startsWith('.'))).to.deep.equal([]);

    const again = await svd(...words('--json'));
    expect(again.code, again.stderr).to.equal(0);
    const lines = again.stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).state)).to.deep.equal(['complete', 'complete']);
  });

  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    it(`leaves nothing half-written at ${signal}, says so, and goes on`, async () => {
      const args = words().map((word, i, all) =>
        all[i - 1] === '--num-inference-steps' ? '400' : word,
      );
      const { child, ended } = startSvd(args);
      let seen = '';
      child.stderr.on('data', (data) => {
        seen += data;
        if (!child.killed && /picture 1 of 2; sampling/.test(seen)) child.kill(signal);
      });
      const { code, stderr } = await ended;
      expect(code, stderr).to.equal(130);
      expect(stderr).to.contain('done: 0 of 2 pictures are complete. The same command goes on');
      const left = (await readdir(at('out'))).filter((name) => !/resume\.safetensors$/.test(name));
      expect(left.sort()).to.deep.equal(['index.html', 'report.csv']);
    });

  it('refuses another that writes into the folder, files of others, and options of one', async () => {
    const says = async (args: string[], exit: number) => {
      const { code, stderr } = await svd(...args);
      expect(code, stderr).to.equal(exit);
      return stderr;
    };
    await mkdir(at('out'));
    await writeFile(at('out/index.html'), 'my page');
    expect(await says(words(), 2)).to.match(/index\.html" would be replaced/);
    expect(await readFile(at('out/index.html'), 'utf8')).to.equal('my page');
    expect(await says(words('--output', 'a.mp4'), 2)).to.match(/use --output-dir, or a manifest/);
    expect(await says(words('--profile'), 2)).to.match(/svd generate --profile/);
    expect(await says(['batch', at('set')], 2)).to.match(/--output-dir DIR is required/);
    expect(await says(['batch', '-o', at('none')], 2)).to.match(/an INPUT is required/);
    await writeFile(at('file'), '');
    expect(await says(['batch', at('set'), '-o', at('file/in')], 1)).to.match(/cannot be written/);
    expect(existsSync(at('none'))).to.equal(false);
  });
});
