/**
 * Writes docs/layers.md from the comments of the layers and their arguments: `npx tsx
 * docs/layers.ts`. A test runs the examples.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import * as layers from '../src/layers/index.ts';
import * as models from '../src/models/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = { layers: `${root}src/layers/index.ts`, models: `${root}src/models/index.ts` };

/** Headings with the layers below them, from the small to the large. */
const chapters: Record<string, string[]> = {
  'Over pixels and tokens': [
    'Linear',
    'Conv2d',
    'GroupNormalization',
    'LayerNorm',
    'FeedForward',
    'Attention',
    'BasicTransformerBlock',
  ],
  'Over pictures': ['ResnetBlock2D', 'Downsample2D', 'Upsample2D'],
  'Over time': [
    'TemporalConv',
    'TemporalResnetBlock',
    'TemporalBasicTransformerBlock',
    'AlphaBlender',
  ],
  'Over space and time': ['SpatioTemporalResBlock', 'TransformerSpatioTemporalModel'],
  'Of scalars': ['Timesteps', 'TimestepEmbedding'],
  'Blocks of the UNet': [
    ...[
      'DownBlockSpatioTemporal',
      'CrossAttnDownBlockSpatioTemporal',
      'UNetMidBlockSpatioTemporal',
    ],
    ...['UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'],
  ],
  'Parts of the VAE': [
    ...['Encoder', 'DownEncoderBlock2D', 'UNetMidBlock2D'],
    ...['TemporalDecoder', 'MidBlockTemporalDecoder', 'UpBlockTemporalDecoder'],
  ],
};

/** The names of all layers with a section. */
export const documentedLayers = Object.values(chapters).flat();

const program = ts.createProgram(Object.values(entries), {
  ...{
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
  },
});
const checker = program.getTypeChecker();

/** What `./layers` and `./models` export, by name, with the subpath. */
const exported = new Map(
  Object.entries(entries).flatMap(([subpath, entry]) =>
    checker
      .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)
      .map((symbol) => {
        const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
        return [symbol.name, { symbol: own, subpath }] as const;
      }),
  ),
);

/** The comment of a symbol with one line per paragraph. */
const textOf = (symbol: ts.Symbol) =>
  ts
    .displayPartsToString(symbol.getDocumentationComment(checker))
    .trim()
    .replace(/(?<!\n)\n(?!\n)/g, ' ');

/**
 * The example in a class's comment: lines of TypeScript, where a comment at the end of a line is
 * the shape or shapes of what it makes.
 */
export function exampleOf(name: string): string {
  const tag = exported
    .get(name)!
    .symbol.getJsDocTags()
    .find((tag) => tag.name === 'example');
  return ts.displayPartsToString(tag?.text).replace(/^```ts\n|\n```$/g, '');
}

/** The arguments of a layer, required ones first, those of every layer left out. */
function argumentsOf(name: string): ts.Symbol[] {
  const { symbol } = exported.get(name)!;
  const type = checker.getTypeOfSymbolAtLocation(symbol, symbol.valueDeclaration!);
  const [args] = type.getConstructSignatures()[0]!.getParameters();
  const properties = checker
    .getTypeOfSymbolAtLocation(args!, symbol.valueDeclaration!)
    .getProperties();
  return properties
    .filter((property) =>
      property.declarations!.every(
        ({ parent }) =>
          parent.getSourceFile().fileName.startsWith(`${root}src/`) &&
          (parent as ts.InterfaceDeclaration).name?.text !== 'LayerArgs',
      ),
    )
    .sort((a, b) => Number(isOptional(a)) - Number(isOptional(b)));
}

const isOptional = (property: ts.Symbol) => (property.flags & ts.SymbolFlags.Optional) !== 0;

const typeOf = (property: ts.Symbol) =>
  checker.getNonNullableType(checker.getTypeOfSymbol(property));

/** The call arguments of a layer, but for `numFrames` where it mixes no frames. */
function callArgumentsOf(name: string): ts.Symbol[] {
  const classes = { ...layers, ...models } as unknown as Record<string, typeof layers.Block>;
  const mixes = argumentNames(name).includes('numFrames');
  const { callArgNames } = classes[name]!.prototype;
  return checker
    .getDeclaredTypeOfSymbol(exported.get('CallArgs')!.symbol)
    .getProperties()
    .filter(({ name }) => callArgNames.includes(name) && (mixes || name !== 'numFrames'));
}

/** The names of the arguments of a layer, but for those of every layer. */
export const argumentNames = (layer: string): string[] =>
  argumentsOf(layer).map(({ name }) => name);

function rowOf(property: ts.Symbol, need = isOptional(property) ? '' : 'required'): string {
  const declaration = property.valueDeclaration as ts.PropertySignature;
  const type = checker.typeToString(typeOf(property), declaration, ts.TypeFormatFlags.NoTruncation);
  const cells = [`\`${property.name}\``, `\`${type}\``, need, textOf(property)];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function sectionOf(name: string): string {
  const { symbol, subpath } = exported.get(name)!;
  const rows = [
    ...argumentsOf(name).map((argument) => rowOf(argument)),
    ...callArgumentsOf(name).map((argument) => rowOf(argument, 'in calls')),
  ];
  const table = ['| argument | type | | what it is |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
  const from = subpath === 'layers' ? '' : `From \`stable-video-diffusion-tfjs/${subpath}\`.\n\n`;
  return `### ${name}\n\n${textOf(symbol)}\n\n${from}${table}\n\n\`\`\`ts\n${exampleOf(name)}\n\`\`\``;
}

/** A link to a section of the page. */
const linkTo = (heading: string) => `[${heading}](#${heading.toLowerCase().replaceAll(' ', '-')})`;

/** The table of contents: a line for each chapter. */
const contents = [...Object.entries(chapters), ['A layer of your own', []] as const]
  .map(
    ([heading, names]) =>
      `* ${linkTo(heading)}${names.length > 0 ? ': ' : ''}${names.map(linkTo).join(', ')}`,
  )
  .join('\n');

const intro = `<!-- Written by docs/layers.ts from the comments in src/. -->

# Layers

${contents}

Each layer of Stable Video Diffusion is a \`tf.layers.Layer\`. It works with eager tensors, in \`tf.model\`, inside other layers and, if it takes one tensor, in \`tf.sequential\`.
It is saved and loaded with a model, and it can be trained. Layers have diffusers' names, and arguments are diffusers' in camelCase.

\`\`\`ts
import * as tf from '@tensorflow/tfjs';
import { ResnetBlock2D } from 'stable-video-diffusion-tfjs/layers'; // or whatever an example uses
\`\`\`

* **Shapes.** B videos of F frames are \`[B*F, H, W, C]\`, the frames of a video in a row, or \`[B, F, H, W, C]\`. Every layer takes both and returns what it is given. Layers that mix
  frames name an axis \`B*F\` below. Frames in a row need their number: \`layer.apply(inputs, { numFrames })\` or, for all calls, \`new TemporalConv({ ..., numFrames })\`.
  Layers of pictures name the axis N, and compute each frame by itself. Time embeddings and contexts may have the axis F beside such videos, too. M and L are numbers of tokens, of x and of a
  context. Several tensors go into one array, in the order given below; optional ones come last.
* **Arguments.** Besides its own, every layer takes those of \`tf.layers.Layer\`: \`name\`, \`trainable\`, \`inputShape\`, \`weights\`, ..., and \`computeDtype\`. It refuses others, also in calls.
  Those marked "in calls" are given to \`apply\`: \`layer.apply(x, { outputSize: [9, 12] })\`.
* **In a model,** \`apply\` on symbolic tensors: \`layer.apply([x, temb], { numFrames: 7 })\` is part of the model and of what \`model.save\` writes. A layer that stands in several places, or in
  several models, has its own call arguments in each. \`[B, F, H, W, C]\` is what \`fit\` can shuffle and give one label per video. Frames in a row have to be whole videos in \`predict\` and
  \`fit\`: \`batchSize\` a multiple of \`numFrames\`, and \`shuffle: false\`. \`tf.sequential\` does not pass call arguments on, so set \`numFrames\` in the constructor there.
* **To load a saved model,** import this package before \`tf.loadLayersModel\`. Layers are saved under names like \`stable-video-diffusion-tfjs>Attention\`, so yours may be called \`Attention\`,
  too; models of older versions still load.
* **Weights** start as in PyTorch. \`layer.parameters()\` lists them by their keys in a checkpoint; in TensorFlow.js, their names are the layer's name and the key. To load only one layer of a checkpoint:
  \`await loadLayerWeights(layer, 'svd-xt', 'decoder.up_blocks.0.resnets.0')\` from \`stable-video-diffusion-tfjs/checkpoints\`. To write one, in Node: \`await layer.save('layer.safetensors')\`, which
  \`await loadLayerWeights(layer, 'layer.safetensors')\` reads; \`{ keyPrefix: 'decoder.up_blocks.0.resnets.0' }\` puts it at such a path.
* **Training** needs the tensorflow backend, or cpu, which is slow: wasm has no gradients of convolutions. \`layer.trainable = false\` freezes a layer and all layers inside it,
  \`layer.children[0].trainable = false\` one of them. Saved models keep both, and each layer's \`computeDtype\`.
* **Adapters.** \`layer.adaptWeight = (weight) => ...\` of a linear map or convolution makes, of the stored weight, the one that every way of computing uses. \`weightedLayersIn(block)\` lists those layers. \`addLora\` adds a LoRA that learns: see [LoRA](lora.md).
* **Layers of your own** can be made of these: see [A layer of your own](#a-layer-of-your-own).`;

const own = `## A layer of your own

\`Block\` is the base class of a layer that is made of named layers. It builds them, nests the names of their weights, and saves, freezes, counts and frees them with its own.

\`\`\`ts
class Head extends Block<LayerArgs & { channels: number; classes: number }> {
  static className = 'Head';
  private readonly mix = this.child(new TemporalResnetBlock({ name: 'mix', inChannels: this.args.channels }));
  private readonly out = this.child(new Linear({ name: 'out', inFeatures: this.args.channels, outFeatures: this.args.classes }));

  protected override forward([frames]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    return this.out.call(tf.mean(this.mix.call(frames, kwargs), [1, 2])); // inside tf.tidy
  }
  override computeOutputShape([n]: tf.Shape): tf.Shape {
    return [n, this.args.classes];
  }
}
tf.serialization.registerClass(Head);

const head = new Head({ channels: 32, classes: 10 });
const scores = head.apply(tf.randomNormal([2 * 7, 8, 12, 32]), { numFrames: 7 }); // [14, 10]
\`\`\`

A layer with call arguments other than \`numFrames\` lists them in \`callArgNames\`.

In a \`tf.layers.Layer\` that is not a \`Block\`, the layer inside has to be built, reported and saved by hand, as TensorFlow.js does not look for layers inside of others. Without
\`nonTrainableWeights\`, frozen weights would not be saved.

\`\`\`ts
class Pooled extends tf.layers.Layer {
  static className = 'Pooled';
  private readonly inner: ResnetBlock2D;

  constructor({ inner, ...config }: LayerArgs & { inner: ResnetBlock2DArgs }) {
    super(config);
    this.inner = new ResnetBlock2D({ name: 'inner', ...inner });
  }
  override build(): void {
    this.inner.build();
    this.built = true;
  }
  override call(pictures: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => tf.mean(this.inner.apply(pictures), [1, 2]));
  }
  override computeOutputShape([n]: tf.Shape): tf.Shape {
    return [n!, this.inner.config.outChannels];
  }
  // TensorFlow.js asks before there is a layer inside.
  override get trainableWeights(): tf.LayerVariable[] {
    return this.trainable && this.inner ? this.inner.trainableWeights : [];
  }
  override set trainableWeights(_) {}
  override get nonTrainableWeights(): tf.LayerVariable[] {
    if (!this.inner) return [];
    return this.trainable ? this.inner.nonTrainableWeights : this.inner.weights;
  }
  override set nonTrainableWeights(_) {}
  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), inner: this.inner.getConfig() };
  }
}
tf.serialization.registerClass(Pooled);

const pooled = new Pooled({ inner: { inChannels: 32 } });
const features = pooled.apply(tf.randomNormal([2, 8, 12, 32])) as tf.Tensor; // [2, 32]
\`\`\``;

/** The page. */
export function layersPage(): string {
  const chapter = ([heading, names]: [string, string[]]) =>
    [`## ${heading}`, ...names.map(sectionOf)].join('\n\n');
  return `${[intro, ...Object.entries(chapters).map(chapter), own].join('\n\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(`${root}docs/layers.md`, layersPage());
