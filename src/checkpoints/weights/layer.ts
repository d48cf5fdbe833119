/** Finds one layer in the weights of a checkpoint, and fills it. */
import { type AnyBlock, withoutWeights } from '../../layers/block.ts';
import { checkIsBlock } from '../../layers/inputs.ts';
import { shown } from '../../text/messages.ts';
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import { CheckpointError, listed } from '../errors.ts';
import { keyStart, type LoadWeightsOptions, loadWeights } from './load.ts';
import type { WeightSource } from './source.ts';

/** The options of `loadWeights` that make sense for one layer of a checkpoint. */
export type LayerOptions = Omit<LoadWeightsOptions, 'prefix' | 'label' | 'onProgress'>;

/** The values of these options. */
export const layerOptionKinds: Kinds<LayerOptions> = {
  ignore: kinds.listener,
  weightDtype: { oneOf: ['auto', 'float32'] },
  signal: kinds.signal,
};

/**
 * Checks the arguments of `loadLayerWeights`.
 * @throws Error if one is wrong.
 */
export function checkLoadLayer<Options extends object>(
  layer: unknown,
  checkpoint: unknown,
  path: unknown,
  options: Options,
  table: Kinds<Options>,
): void {
  const wrong = (what: string, value: unknown) =>
    new Error(`\`loadLayerWeights\` takes ${what}, not ${shown(value)}.`);
  checkIsBlock('loadLayerWeights', layer);
  const isSource = typeof (checkpoint as WeightSource | undefined)?.names === 'function';
  if (!isSource && (typeof checkpoint !== 'string' || checkpoint === ''))
    throw wrong('a path, a name or an open source of weights second', checkpoint);
  if (typeof path !== 'string') throw wrong('the path of the layer in the checkpoint third', path);
  checkOptionValues('loadLayerWeights', options, table);
}

/** The weights of one component of a checkpoint. */
export interface NamedSource {
  /** The component, if there are several. */
  name?: string;
  source: WeightSource;
}

/**
 * Fills `layer` with the weights at `path`, or with all if that is empty, builds it first if it is
 * not built, and reads nothing else.
 * @param label Names the checkpoint in messages.
 * @throws CheckpointError if no component or several have such a layer, or with a list of all
 * tensors that do not fit.
 */
export async function fillLayer(
  layer: AnyBlock,
  sources: NamedSource[],
  path: string,
  label: string,
  options: LayerOptions,
): Promise<void> {
  const start = keyStart(path);
  const found = sources.flatMap(({ name, source }) => {
    const prefix = name && start.startsWith(`${name}.`) ? start.slice(name.length + 1) : start;
    return source.names().some((key) => key.startsWith(prefix)) ? [{ name, source, prefix }] : [];
  });
  if (found.length === 0)
    throw new CheckpointError(`${label} has no layer "${path}". ${whatThereIs(sources, path)}`);
  if (found.length > 1) {
    const names = found.map(({ name }) => `"${path === '' ? name : `${name}.${path}`}"`);
    throw new CheckpointError(
      `${label} has the layer "${path}" more than once. Say which one is meant: ` +
        `${names.join(' or ')}.`,
    );
  }
  const [{ source, prefix }] = found;
  if (!layer.built) withoutWeights(() => layer.build());
  await loadWeights(layer, source, { ...options, prefix, label: layer.name });
}

/** The names below the deepest part of `path` that there is. */
function whatThereIs(sources: NamedSource[], path: string): string {
  const names = sources.flatMap(({ name, source }) =>
    source.names().map((key) => (name ? `${name}.${key}` : key)),
  );
  const parts = path.split('.');
  for (let depth = parts.length - 1; depth >= 0; depth--) {
    const prefix = parts
      .slice(0, depth)
      .map((part) => `${part}.`)
      .join('');
    const below = names
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length).split('.')[0]!);
    if (below.length === 0) continue;
    const where = depth === 0 ? 'At its top' : `Below "${prefix.slice(0, -1)}"`;
    return `${where} there are ${listed([...new Set(below)])}.`;
  }
  return 'It has no tensors at all.';
}

/**
 * Whether tensors have the names of the original single files, by what those of the UNet start
 * with.
 */
export const isOriginal = (source: WeightSource): boolean =>
  source.names().some((name) => name.startsWith('model.diffusion_model.'));
