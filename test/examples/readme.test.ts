/** Type-checks each block of TypeScript in README.md and runs it as a program of its own. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import ts from 'typescript';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const packageName = 'stable-video-diffusion-tfjs';

describe('README @slow', () => {
  let folder: string;
  const programs: string[] = [];
  before(async () => {
    await mkdir(`${root}out`, { recursive: true });
    // inside the repository, where TensorFlow.js and its types are
    folder = await mkdtemp(`${root}out/readme-`);
    const readme = await readFile(`${root}README.md`, 'utf8');
    for (const [, code] of readme.matchAll(/^```ts\n(.*?)^```$/gms)) {
      const imports = new RegExp(`'${packageName}(/\\w+)?'`, 'g');
      const path = join(folder, `block-${programs.length}.ts`);
      const own = code
        .replaceAll('examples/pictures/rocket.jpg', `${root}examples/pictures/rocket.jpg`)
        .replaceAll('weights/tiny', `${root}weights/tiny`);
      await writeFile(
        path,
        own.replace(imports, (_, subpath = '') => `'../../src${subpath}/index.ts'`),
      );
      programs.push(path);
    }
  });
  after(() => rm(folder, { recursive: true }));

  it('has programs that compile', () => {
    const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
    const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
    const problems = ts.getPreEmitDiagnostics(
      ts.createProgram(programs, { ...options, noEmit: true }),
    );
    expect(
      problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
    ).to.deep.equal([]);
  });

  it('has programs that run', async () => {
    const printed: string[] = [];
    for (const program of programs)
      printed.push(
        (await run(process.execPath, ['--import', 'tsx', program], { cwd: folder })).stdout,
      );
    expect(printed).to.have.length(3);
    expect(printed[0]).to.contain('decoding 8 8');
    expect((await readFile(join(folder, 'rocket.mp4'))).subarray(4, 8).toString()).to.equal('ftyp');
    expect(printed[1]).to.contain('spatial_res_block.conv1.weight');
    expect(printed[2]).to.contain('[ 8, 8, 12, 4 ] [ 1, 64, 96, 3 ]');
  });
});
