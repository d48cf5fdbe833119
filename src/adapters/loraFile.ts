/** Reads LoRA files: which layer each tensor is for, and whether it fits. */
import { CheckpointError, type WeightSource } from '../checkpoints/browser.ts';
import { jsonValue } from '../checkpoints/configs/json.ts';
import { listed } from '../checkpoints/errors.ts';
import { shapeInCheckpoint, valuesFromCheckpoint } from '../checkpoints/weights/layout.ts';
import type { WeightedLayer } from '../layers/index.ts';
import { counted } from '../text/messages.ts';
import { isOfTextEncoder, LayerNames, type LoraPart, loraKey, otherKind } from './keys.ts';
import { weightOfLayer } from './lora.ts';

/** An open LoRA file. */
export interface LoraFile {
  /** Its tensors. */
  source: WeightSource;
  /** Names it in messages. */
  label: string;
  /** The config that peft wrote for it, with `lora_alpha`. */
  config?: Record<string, unknown>;
}

/** The tensors of one layer, by their names in the file. */
type Parts = Partial<Record<LoraPart, string>>;

/** What a file holds for the layers of a model. */
export interface LoraContents {
  /** The tensors of each layer, by its path. */
  layers: Map<string, Required<Omit<Parts, 'alpha'>> & Pick<Parts, 'alpha'> & { rank: number }>;
  /** A sentence on the tensors that no layer is for. */
  remark?: string;
}

/**
 * Finds the layer of each tensor.
 * @param layers The layers of the model by their paths.
 * @param othersOf Other names of the layer at a path.
 * @throws CheckpointError if it is no LoRA, or none for this model.
 */
export function contentsOf(
  { source, label }: LoraFile,
  layers: ReadonlyMap<string, WeightedLayer>,
  othersOf?: (path: string) => string[],
): LoraContents {
  const names = source.names();
  const kinds = new Set(names.map(otherKind).filter((kind) => kind !== undefined));
  if (kinds.size > 0) {
    const first = names.filter(otherKind);
    throw new CheckpointError(
      `${label} is ${[...kinds].join(', ')}, by ${listed(first, 3)}: only plain LoRA can be ` +
        'loaded. Merge it into the weights of a UNet by the program that has made it.',
    );
  }
  const known = new LayerNames(layers.keys(), othersOf);
  const found = new Map<string, Parts>();
  const [others, ofText]: [string[], string[]] = [[], []];
  for (const name of names) {
    const key = loraKey(name);
    const path = key && known.find(key.stem);
    if (key === undefined || path === undefined) {
      (isOfTextEncoder(name) ? ofText : others).push(name);
      continue;
    }
    const parts = found.get(path) ?? {};
    if (parts[key.part] !== undefined)
      throw new CheckpointError(
        `${label} has two LoRA in one file: ${parts[key.part]} and ${name} are both for ${path}. ` +
          'Save them in two files.',
      );
    found.set(path, { ...parts, [key.part]: name });
  }
  if (found.size === 0) throw new CheckpointError(noneFits(label, names));
  const problems = [...found].flatMap(([path, parts]) => problemsOf(source, path, parts, layers));
  if (problems.length > 0)
    throw new CheckpointError(
      `The LoRA ${label} does not fit the model: ${listed(problems, 8)}. Use one for this model.`,
    );
  const remarks = [
    others.length > 0 &&
      `${counted(others.length, 'tensor')} of no layer of the model (${listed(others, 8)})`,
    ofText.length > 0 &&
      `${counted(ofText.length, 'tensor')} of text encoders, which the model has not ` +
        `(${listed(ofText, 3)})`,
  ].filter((remark) => remark !== false);
  return {
    layers: new Map(
      [...found].map(([path, { down, up, alpha }]) => {
        const [rank] = source.info(down!).shape as [number];
        return [path, { down: down!, up: up!, alpha, rank }];
      }),
    ),
    ...(remarks.length > 0 && { remark: `The LoRA ${label} has ${remarks.join(', and ')}.` }),
  };
}

function noneFits(label: string, names: string[]): string {
  const ofLora = names.filter((name) => loraKey(name));
  if (ofLora.length === 0)
    return (
      `${label} is no LoRA: it has ${listed(names, 8) || 'no tensors'}. Use a file with tensors ` +
      'such as unet.PATH.lora_A.weight, PATH.lora.down.weight or lora_unet_PATH.lora_down.weight.'
    );
  return (
    `The LoRA ${label} is for another model: none of its ${counted(ofLora.length, 'tensor')} ` +
    `(${listed(ofLora, 8)}) is of a layer of this one.`
  );
}

const withoutOnes = (shape: number[]) => shape.join().replace(/(,1)+$/, '');

/** What is wrong with the tensors of a layer, in words. */
function problemsOf(
  source: WeightSource,
  path: string,
  { down, up, alpha }: Parts,
  layers: ReadonlyMap<string, WeightedLayer>,
): string[] {
  if (!down || !up)
    return [`${path} has ${down ?? up ?? alpha} but no ${down ? 'up' : 'down'} matrix`];
  const [rank] = source.info(down).shape;
  if (!rank) return [`${down} is of rank ${rank ?? 'none'}`];
  const expected = shapesIn(layers.get(path)!, rank);
  const shapes = { [down]: expected.down, [up]: expected.up };
  return Object.entries(shapes).flatMap(([name, shape]) => {
    const own = source.info(name).shape;
    return withoutOnes(own) === withoutOnes(shape)
      ? []
      : [`${name} is [${own}] instead of [${shape}]`];
  });
}

/** The shapes of the two matrices of a layer, in the axis order of TensorFlow.js. */
export function shapesOf(layer: WeightedLayer, rank: number): { down: number[]; up: number[] } {
  const shape = weightOfLayer(layer).variable.shape as number[];
  const [inputs, outputs] = shape.slice(-2) as [number, number];
  const kernel = shape.slice(0, -2);
  return { down: [...kernel, inputs, rank], up: [...kernel.map(() => 1), rank, outputs] };
}

/** The same in PyTorch's axis order. */
export function shapesIn(layer: WeightedLayer, rank: number): { down: number[]; up: number[] } {
  const { layout } = weightOfLayer(layer);
  const { down, up } = shapesOf(layer, rank);
  return { down: shapeInCheckpoint(layout, down), up: shapeInCheckpoint(layout, up) };
}

/** The values of a matrix in the axis order of TensorFlow.js. */
export async function readMatrix(
  { source, label }: LoraFile,
  name: string,
  layer: WeightedLayer,
  shape: number[],
): Promise<Float32Array> {
  const values = await source.read(name);
  if (!values.every(Number.isFinite))
    throw new CheckpointError(`The LoRA ${label} has values that are not finite in ${name}.`);
  return valuesFromCheckpoint(weightOfLayer(layer).layout, shape, values);
}

/**
 * Finds the alpha of a layer: that in the file, or else that of peft's config, with which `W +
 * alpha / rank * up down` is what peft computes. Undefined if neither says.
 * @throws CheckpointError if it is no number, or the config is of another kind of adapter.
 */
export async function readAlpha(
  { source, label, config }: LoraFile,
  path: string,
  { alpha: name, rank }: { alpha?: string; rank: number },
): Promise<number | undefined> {
  const stored = name === undefined ? undefined : (await source.read(name))[0];
  const settings = config ?? settingsIn(source, label);
  if (settings.use_dora)
    throw new CheckpointError(`${label} is DoRA: only plain LoRA can be loaded.`);
  const patterns = Object.entries((settings.alpha_pattern ?? {}) as Record<string, number>);
  const own = patterns.find(([end]) => `.${path}`.endsWith(`.${end}`))?.[1];
  const configured = own ?? (settings.lora_alpha as number | undefined);
  const alpha =
    stored ?? (configured && settings.use_rslora ? configured * Math.sqrt(rank) : configured);
  if (alpha === undefined || Number.isFinite(alpha)) return alpha;
  throw new CheckpointError(`The LoRA ${label} has the alpha ${alpha} for ${path}.`);
}

/** What diffusers has written into the metadata of a file of peft's config, if it has. */
function settingsIn(source: WeightSource, label: string): Record<string, unknown> {
  const { metadata } = source as WeightSource & { metadata?: Record<string, string> };
  const text = metadata?.lora_adapter_metadata;
  if (text === undefined) return {};
  const all = jsonValue(text, `lora_adapter_metadata of ${label}`);
  return Object.fromEntries(
    Object.entries(Object(all)).map(([name, value]) => [name.replace(/^unet\./, ''), value]),
  );
}
