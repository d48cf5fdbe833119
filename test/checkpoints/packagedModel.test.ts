/** The checkpoint of the package, as a folder in Node and as an address in browsers. */
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import * as esbuild from 'esbuild';
import { packagedModel as address } from '../../src/browser.ts';
import { openCheckpoint, packagedModel } from '../../src/index.ts';

describe('packagedModel', () => {
  it('is a folder in Node, and its address in browsers', async () => {
    const checkpoint = await openCheckpoint(packagedModel);
    await checkpoint.close();
    expect(address).to.match(/^file:.*[^/]$/);
    expect(pathToFileURL(packagedModel).href).to.equal(address);
  });

  for (const [format, expected] of [
    ['esm', 'https://example.com/app/weights/tiny'],
    ['iife', 'weights/tiny'],
  ] as const) {
    it(`is beside a bundle of the format ${format}`, async () => {
      const { outputFiles } = await esbuild.build({
        stdin: {
          contents: "export { packagedModel } from './src/checkpoints/web/packagedModel.ts'",
          resolveDir: process.cwd(),
        },
        ...{ bundle: true, write: false, format, globalName: 'bundle', logLevel: 'error' },
        define: format === 'esm' ? { 'import.meta.url': '"https://example.com/app/main.js"' } : {},
      });
      const code = outputFiles![0]!.text;
      const exported =
        format === 'esm'
          ? await import(`data:text/javascript,${encodeURIComponent(code)}`)
          : new Function(`${code}; return bundle`)();
      expect(exported.packagedModel).to.equal(expected);
    });
  }
});
