/** Type-checks each block of TypeScript in the documents and runs it as a program of its own. */
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

/** What each program of a document prints, in their order. */
const printedBy: Record<string, RegExp[]> = {
  'README.md': [/decoding 8 8/, /\[ 2, 4, 8, 12, 64 \].*spatial_res_block\.conv1\.weight/s],
  'docs/batch.md': [/missing\.png failed: /, /picture 1: decoding 8 of 8/],
  'docs/recipes.md': [
    /\[ 5, 2 \]/,
    /loss \d/,
    /adapted true/,
    /\[ 8, 8, 12, 4 \] \[ 1, 64, 96, 3 \]/,
    /8 previews 8/,
  ],
};

describe('programs in documents @slow', () => {
  let folder: string;
  const programs: { path: string; printed: RegExp }[] = [];
  before(async () => {
    await mkdir(`${root}out`, { recursive: true });
    // inside the repository, where TensorFlow.js and its types are
    folder = await mkdtemp(`${root}out/documents-`);
    for (const [document, printed] of Object.entries(printedBy)) {
      const blocks = [
        ...(await readFile(root + document, 'utf8')).matchAll(/^```ts\n(.*?)^```$/gms),
      ];
      expect(blocks, document).to.have.length(printed.length);
      for (const [i, [, code]] of blocks.entries()) {
        const path = join(folder, `program-${programs.length}.ts`);
        const own = code
          .replaceAll(`node_modules/${packageName}/`, root)
          .replaceAll(
            new RegExp(`'${packageName}(/\\w+)?'`, 'g'),
            (_, subpath = '') => `'../../src${subpath}/index.ts'`,
          );
        await writeFile(path, own);
        programs.push({ path, printed: printed[i]! });
      }
    }
  });
  after(() => rm(folder, { recursive: true }));

  it('compile @slow', () => {
    const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
    const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
    const paths = programs.map(({ path }) => path);
    const problems = ts.getPreEmitDiagnostics(
      ts.createProgram(paths, { ...options, noEmit: true }),
    );
    expect(
      problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
    ).to.deep.equal([]);
  });

  it('run and print what they should', async () => {
    for (const { path, printed } of programs) {
      const { stdout } = await run(process.execPath, ['--import', 'tsx', path], { cwd: folder });
      expect(stdout).to.match(printed);
    }
    expect((await readFile(join(folder, 'rocket.mp4'))).subarray(4, 8).toString()).to.equal('ftyp');
  });
});
