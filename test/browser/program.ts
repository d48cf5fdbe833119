/** Programs of tests that run in a page. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import { root } from './pageUnderTest.ts';

/** Bundles a program into a folder, with a page that runs it. */
export async function bundleProgram(
  contents: string,
  folder: string,
  page = 'index.html',
): Promise<void> {
  await esbuild.build({
    stdin: { contents, resolveDir: root },
    outfile: join(folder, 'program.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  });
  writeFileSync(join(folder, page), '<script type="module" src="program.js"></script>');
}
