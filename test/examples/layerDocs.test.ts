/**
 * docs/layers.md has every layer and matches the comments in the code. Its examples are
 * type-checked and run.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import ts from 'typescript';
import { argumentNames, documentedLayers, layersPage } from '../../docs/layers.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const networks = [
  'AutoencoderKLTemporalDecoder',
  'CLIPVisionModelWithProjection',
  'UNetSpatioTemporalConditionModel',
];
const abstract = ['Block', 'StepwiseBlock', 'TransformerBlock', 'WeightedLayer'];

describe('docs/layers.md', () => {
  let page: string;
  before(async () => {
    page = await readFile(`${root}docs/layers.md`, 'utf8');
  });

  it('is what docs/layers.ts writes', () => {
    expect(page === layersPage(), 'Run npx tsx docs/layers.ts.').to.equal(true);
  });

  it('has the arguments that layers check, and by which they refuse others', () => {
    const classes = { ...layers, ...models } as unknown as Record<string, { checks: object }>;
    for (const name of [...documentedLayers, ...networks]) {
      const documented = new Set([...argumentNames(name), 'numFrames']);
      const checked = new Set([...Object.keys(classes[name]!.checks), 'numFrames']);
      expect(checked, name).to.deep.equal(documented);
    }
  });

  it('describes every layer with its shapes, equal in diffusers, arguments and an example', () => {
    const isLayer = ([, value]: [string, unknown]) =>
      typeof value === 'function' && value.prototype instanceof tf.layers.Layer;
    const names = Object.entries<unknown>({ ...layers, ...models })
      .filter(isLayer)
      .map(([name]) => name);
    expect([...documentedLayers, ...networks, ...abstract].sort()).to.deep.equal(names.sort());
    const sections = page.split('\n### ').slice(1);
    expect(sections.map((section) => section.split('\n')[0])).to.deep.equal(documentedLayers);
    for (const section of sections) {
      // the shapes of its inputs and outputs
      expect(section.split('\nEquals ')[0]).to.match(/`\[.+-> (`\[|the )/s);
      expect(section)
        .to.match(/^Equals `.+\.$/m)
        .and.match(/^\| `\w+` \|/m)
        .and.match(/^```ts\n[^`]*\/\/ \[\d/m);
    }
  });

  it('has examples that compile, run, and have the shapes in their comments @slow', async () => {
    // the first block has the imports
    const [, ...examples] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
    await mkdir(`${root}out`, { recursive: true });
    const folder = await mkdtemp(`${root}out/docs-`);
    try {
      const lines = [
        "import * as tf from '@tensorflow/tfjs';",
        "import { useBackend } from '../../src/index.ts';",
      ];
      for (const subpath of ['layers', 'models']) {
        const exported = Object.keys(subpath === 'layers' ? layers : models);
        const used = exported.filter((name) =>
          examples.some((code) => new RegExp(`\\b${name}\\b`).test(code)),
        );
        const types =
          subpath === 'layers' ? ', type CallArgs, type LayerArgs, type ResnetBlock2DArgs' : '';
        lines.push(`import { ${used.join(', ')}${types} } from '../../src/${subpath}/index.ts';`);
      }
      lines.push("await useBackend('wasm', { threads: 1 });");
      for (const code of examples) {
        // `const y = ...; // [1, 2]` prints the comment and the shape. A long line has its shape in
        // the line above.
        const inLine = code.replace(/^\s*\/\/ (\[\d.*)\n(\s*const .*;)$/gm, '$2 // $1');
        const printing = inLine.replace(
          /^(\s*const (\w+|\[[\w, ]+\]) = .*;) \/\/ (\[\d.*)$/gm,
          (_, line, names, shapes) => {
            const list = names.startsWith('[') ? names : `[${names}]`;
            return (
              `${line}\nconsole.log('${shapes}', '=', ...${list}.map(({ shape }) => ` +
              'JSON.stringify(shape)));'
            );
          },
        );
        lines.push(`{\n${printing}}`);
      }
      const program = join(folder, 'layers.ts');
      await writeFile(program, lines.join('\n'));
      const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
      const { options } = ts.convertCompilerOptionsFromJson(
        { ...config.compilerOptions, noUnusedLocals: false },
        root,
      );
      const problems = ts.getPreEmitDiagnostics(
        ts.createProgram([program], { ...options, noEmit: true }),
      );
      expect(
        problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
      ).to.deep.equal([]);
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program]);
      const printed = stdout
        .trim()
        .split('\n')
        .filter((line) => line.includes(' = '));
      expect(printed.length).to.be.at.least(examples.length);
      for (const line of printed) {
        const [expected, actual] = line.replaceAll(', ', ',').split(' = ');
        expect(actual).to.equal(expected);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('has a recipe for layers that are no blocks, which keeps frozen weights on saving @slow', async () => {
    const recipe = page.match(
      /^class Pooled .*^tf\.serialization\.registerClass\(Pooled\);$/ms,
    )![0];
    await mkdir(`${root}out`, { recursive: true });
    const folder = await mkdtemp(`${root}out/docs-`);
    try {
      const program = join(folder, 'recipe.ts');
      await writeFile(
        program,
        `
        import * as tf from '@tensorflow/tfjs';
        import { useBackend } from '../../src/index.ts';
        import { type LayerArgs, ResnetBlock2D, type ResnetBlock2DArgs } from '../../src/layers/index.ts';
        await useBackend('wasm', { threads: 1 });
        ${recipe}
        const layer = new Pooled({ inner: { inChannels: 32 } });
        const input = tf.input({ shape: [4, 4, 32] });
        const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor });
        const x = tf.randomNormal([1, 4, 4, 32]);
        const inner = (layer as any).inner;
        for (const freeze of [() => {}, () => (inner.children[0].trainable = false),
            () => (inner.trainable = false), () => (layer.trainable = false)]) {
          freeze();
          let saved: any;
          await model.save(tf.io.withSaveHandler(async (artifacts) => {
            saved = artifacts;
            return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
          }));
          const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved));
          const [a, b] = [model, loaded].map((one) => (one.predict(x) as tf.Tensor).dataSync());
          console.log(...[model, loaded].flatMap((one) => [one.trainableWeights.length, one.weights.length]),
            a!.every((value, i) => value === b![i]));
        }`,
      );
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program]);
      const printed = stdout
        .trim()
        .split('\n')
        .filter((line) => /^\d/.test(line));
      expect(printed).to.deep.equal([
        '8 8 8 8 true',
        '6 8 6 8 true',
        '0 8 0 8 true',
        '0 8 0 8 true',
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
