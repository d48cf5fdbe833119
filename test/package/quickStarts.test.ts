/** The README's quick starts, as they stand there, in an empty folder with the packed package. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { projectWith, root, run } from './pack.ts';

describe("the README's quick starts @slow", () => {
  let folder: string;
  let text: string;
  before(async function () {
    text = await readFile(join(root, 'README.md'), 'utf8');
    folder = (await projectWith('@tensorflow/tfjs@~4.22.0')) ?? this.skip();
  });
  after(() => folder && rm(folder, { recursive: true }));

  /** The first block of code of a section. */
  function codeOf(section: string): string {
    const code = text.split(`\n## ${section}\n`)[1]?.match(/^```\w+\n(.*?)^```$/ms)?.[1];
    return code ?? expect.fail(`no code in ${section}`);
  }

  /** Runs the first lines of a section's commands, which need no download. */
  const first = async (section: string, lines: number) =>
    run('sh', ['-ec', codeOf(section).split('\n').slice(0, lines).join('\n')], { cwd: folder });

  async function program(section: string): Promise<string> {
    await writeFile(join(folder, 'program.mjs'), codeOf(section));
    return (await run(process.execPath, ['program.mjs'], { cwd: folder })).stdout;
  }

  it('make a video with the command', async () => {
    expect((await first('Make a video', 2)).stdout).to.equal('toy.mp4\n');
    expect((await stat(join(folder, 'toy.mp4'))).size).to.be.above(1000);
  });

  it('make a video with a program', async () => {
    expect(await program('In TypeScript or JavaScript')).to.contain('decoding 8 8');
    expect((await stat(join(folder, 'rocket.mp4'))).size).to.be.above(1000);
  });

  it('reuse a layer', async () => {
    expect(await program('Reuse a layer')).to.match(/^\[ 2, 4, 8, 12, 64 \] \[/);
  });

  it('check parity', async () => {
    expect((await first('Check parity', 2)).stdout).to.match(/frames/);
  });
});
