/**
 * The package as npm packs it, in somebody else's project: in plain Node, in TypeScript, and its
 * declarations by themselves.
 */
import { spawn } from 'node:child_process';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
import { NAME, pack, projectWith, quick, root, run } from './pack.ts';

/**
 * A newcomer's program, written from the documentation: a block of a checkpoint inside a model with
 * other layers, saved and used.
 */
const program = `import * as tf from '@tensorflow/tfjs';
import { useBackend } from '${NAME}';
import { blockTensors, loadLayerWeights, writeSafetensors } from '${NAME}/checkpoints';
import { SpatioTemporalResBlock } from '${NAME}/layers';

await useBackend('wasm', { threads: 1 });
const trained = new SpatioTemporalResBlock({ name: 'trained', inChannels: 32 });
trained.build();
const tensors = Object.entries(blockTensors(trained)).map(([key, tensor]) => [\`decoder.up.\${key}\`, tensor]);
await writeSafetensors('block.safetensors', Object.fromEntries(tensors));

const block = new SpatioTemporalResBlock({ name: 'mine', inChannels: 32 });
await loadLayerWeights(block, 'block.safetensors', 'decoder.up');
const frames = tf.input({ shape: [6, 8, 32] });
const pooled = tf.layers.globalAveragePooling2d({}).apply(block.apply(frames, { numFrames: 7 }));
const model = tf.model({ inputs: frames, outputs: tf.layers.dense({ units: 2 }).apply(pooled) });
const scores = model.predict(tf.randomNormal([14, 6, 8, 32]), { batchSize: 14 });
const x = tf.randomNormal([7, 6, 8, 32]);
const difference = tf.max(tf.abs(tf.sub(trained.apply(x, { numFrames: 7 }), block.apply(x, { numFrames: 7 }))));
console.log(scores.shape, (await difference.data())[0], model.weights[0].name);
`;

/** The same with the types that TensorFlow.js leaves to its callers. */
const typed = program
  .replace(
    '.apply(block.apply(frames, { numFrames: 7 }))',
    '.apply(block.apply(frames, { numFrames: 7 })) as tf.SymbolicTensor',
  )
  .replace('.apply(pooled) })', '.apply(pooled) as tf.SymbolicTensor })')
  .replace('{ batchSize: 14 })', '{ batchSize: 14 }) as tf.Tensor');

const PRINTED = /^\[ 14, 2 \] 0 mine\/spatial_res_block\/norm1\/weight\n$/;

/**
 * Compiles a program in `folder`, and gives what the compiler says of it and of the package's
 * declarations.
 */
function problemsIn(folder: string, file: string, options: ts.CompilerOptions = {}): string[] {
  const compiled = ts.createProgram([join(folder, file)], {
    ...{
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
    },
    ...{ strict: true, skipLibCheck: false, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] },
    ...{ types: ['node'], typeRoots: [`${root}node_modules/@types`] },
    ...options,
  });
  compiled.emit();
  const isOurs = (path: string) =>
    !path.includes('/node_modules/') || path.includes(`/node_modules/${NAME}/`);
  const problems = ts
    .getPreEmitDiagnostics(compiled)
    .filter(({ file }) => !file || isOurs(file.fileName));
  return problems.map(
    ({ file, messageText }) =>
      `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
  );
}

describe('the packed package @slow', () => {
  let folder: string;
  let tarball: string;
  before(async function () {
    folder = (await projectWith('@tensorflow/tfjs@~4.22.0', '--ignore-scripts')) ?? this.skip();
    ({ tarball } = await pack());
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  });
  after(() => folder && rm(folder, { recursive: true }));

  it('holds the script that writes references, and the list of what it needs', async () => {
    const inPackage = (file: string) =>
      readFile(join(folder, 'node_modules', NAME, 'dist/src/verification', file), 'utf8');
    expect(await inPackage('dump_reference.py')).to.contain('svd verify');
    expect(await inPackage('requirements.txt')).to.match(/^diffusers==/m);
  });

  it("runs a newcomer's program in plain Node", async () => {
    await writeFile(join(folder, 'newcomer.mjs'), program);
    expect((await run(process.execPath, ['newcomer.mjs'], { cwd: folder })).stdout).to.match(
      PRINTED,
    );
  });

  it('builds and runs in Next.js, with the one line of configuration', async () => {
    const app = join(folder, 'next-app');
    await cp(join(root, 'test/package/next-app'), app, { recursive: true });
    await writeFile(join(app, 'package.json'), '{ "type": "module", "private": true }');
    const packages = ['next@16', 'react@19', 'react-dom@19', tarball];
    await run('npm', ['install', ...packages, ...quick, '--ignore-scripts'], { cwd: app });
    const env = {
      ...process.env,
      ...{ NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production', NODE_OPTIONS: '' },
      MODEL: `${root}weights/tiny`,
      PICTURE: `${root}examples/pictures/rocket.jpg`,
    };
    const next = join(app, 'node_modules/next/dist/bin/next');
    await run(process.execPath, [next, 'build'], { cwd: app, env });
    const server = spawn(process.execPath, [next, 'start', '--port', '0'], { cwd: app, env });
    try {
      let said = '';
      for await (const text of server.stdout) {
        said += text;
        if (/Ready/.test(said)) break;
      }
      const [address] = /http:\/\/localhost:\d+/.exec(said)!;
      const answer = await fetch(`${address}/api/v`);
      expect(await answer.json()).to.deep.equal({ frames: 2 });
    } finally {
      server.kill();
    }
  });

  it(
    'compiles and runs it in TypeScript, with declarations that are right by themselves under ' +
      'every subpath',
    async () => {
      const { exports } = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
      const subpaths = Object.keys(exports).filter((subpath) => subpath !== './package.json');
      const imports = subpaths.map(
        (subpath, i) => `export type * as m${i} from '${NAME}${subpath.slice(1)}';`,
      );
      await writeFile(join(folder, 'newcomer.ts'), [typed, ...imports].join('\n'));
      // The declarations of TensorFlow.js and WebGPU contradict each other and TypeScript's own; in
      // ours there is nothing to skip.
      expect(problemsIn(folder, 'newcomer.ts')).to.deep.equal([]);
      const byFolders = {
        module: ts.ModuleKind.ESNext,
        moduleResolution: ts.ModuleResolutionKind.Node10, // "node", which knows no `exports`
        ignoreDeprecations: '6.0',
        ...{ noEmit: true, skipLibCheck: true },
      };
      expect(problemsIn(folder, 'newcomer.ts', byFolders)).to.deep.equal([]);
      expect((await run(process.execPath, ['newcomer.js'], { cwd: folder })).stdout).to.match(
        PRINTED,
      );
    },
  );
});
