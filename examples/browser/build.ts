/**
 * Builds the page into a folder for any web server: `npm run browser`. `npm run browser -- --serve`
 * serves it, too.
 */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { servePage } from './serve.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/**
 * Takes the browser build of h264-mp4-encoder, a script that sets a global variable. The package
 * exports only its build for Node.
 */
export const webEncoder: esbuild.Plugin = {
  name: 'web-encoder',
  setup(build) {
    const script = fileURLToPath(import.meta.resolve('h264-mp4-encoder')).replace(
      '.node.js',
      '.web.js',
    );
    build.onResolve({ filter: /^h264-mp4-encoder$/ }, () => ({ path: script }));
    build.onLoad({ filter: /h264-mp4-encoder\.web\.js$/ }, () => ({
      contents: `${readFileSync(script, 'utf8')}\nexport const { createH264MP4Encoder } = HME;`,
    }));
  },
};

/** Builds the page into a folder. Returns the folder and esbuild's description of the bundles. */
export async function buildPage(
  folder = path('dist'),
): Promise<{ folder: string; metafile: esbuild.Metafile }> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { metafile } = await esbuild.build({
    entryPoints: [path('page.ts'), path('page.css'), path('worker.ts')],
    outdir: folder,
    bundle: true,
    minify: true,
    metafile: true,
    format: 'esm',
    splitting: true, // so that what is rarely needed is loaded only then
    target: 'es2022',
    alias: { 'stable-video-diffusion-tfjs/browser': path('../../src/browser.ts') },
    plugins: [webEncoder],
    logLevel: 'warning',
  });
  const wasm = dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')));
  for (const file of readdirSync(wasm).filter((name) => name.endsWith('.wasm')))
    copyFileSync(`${wasm}/${file}`, `${folder}/${file}`);
  copyFileSync(path('index.html'), `${folder}/index.html`);
  for (const [, sample] of readFileSync(path('index.html'), 'utf8').matchAll(
    /src="\.\/(pictures\/[^"]+)"/g,
  ))
    cpSync(path(`../${sample}`), `${folder}/${sample}`);
  const model = path('../../weights/tiny');
  for (const part of readdirSync(model, { recursive: true, encoding: 'utf8' })) {
    if (/^[^/]+\.json$|^(?!train)[^/]+\/[^/]+\.(json|safetensors)$/.test(part))
      cpSync(`${model}/${part}`, `${folder}/model/${part}`);
  }
  return { folder, metafile };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { folder } = await buildPage();
  console.log(`Built in ${folder}`);
  if (process.argv.includes('--serve')) {
    console.log((await servePage(folder)).address);
  }
}
