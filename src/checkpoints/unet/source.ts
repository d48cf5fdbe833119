/** The weights of a UNet that replaces that of a model, from the disk and the web alike. */
import type { AnyBlock } from '../../layers/block.ts';
import { declaredModel } from '../components.ts';
import type { ConfigFile, Json } from '../configs/json.ts';
import { CheckpointError } from '../errors.ts';
import { originalLayout, originalPlaces } from '../original/keys.ts';
import { type UnetNaming, unetNaming } from '../otherModels.ts';
import { checkModelWeights, differences, passOver } from '../weights/load.ts';
import { renamed } from '../weights/renamed.ts';
import type { WeightSource } from '../weights/source.ts';

/** Whether a config is that of a UNet of Stable Video Diffusion, and not of what is beside it. */
export const isUnetConfig = ({ _class_name: name, ...config }: Json): boolean =>
  name === 'UNetSpatioTemporalConditionModel' ||
  (name === undefined && 'down_block_types' in config);

/**
 * How the weights of the UNet in an open weight file are named.
 * @throws CheckpointError if the file holds another model.
 */
export function checkIsUnet(file: WeightSource, path: string): UnetNaming {
  const naming = unetNaming(file.names());
  if (typeof naming !== 'string') return naming;
  throw new CheckpointError(`${path} ${naming} Use a UNet of Stable Video Diffusion.`);
}

/** The config that a UNet has to fit. */
export interface UnetConfig extends ConfigFile {
  /** Whether it is that of this UNet, and not of the one that it replaces. */
  isOwn: boolean;
}

/**
 * The UNet in an open weight file, under its names in diffusers. The file may hold a whole original
 * checkpoint. Closing the result closes the file.
 * @param path Names the file in messages.
 * @throws CheckpointError if the file holds another model, or with a list of all differences from
 * `config`.
 */
export function unetSource(file: WeightSource, path: string, config: UnetConfig): WeightSource {
  const model = declaredModel({ path: config.file, config: () => config.config }, 'unet');
  try {
    const source = underDiffusersNames(file, path, model, config.config);
    checkFits(model, source, path, config);
    return source;
  } finally {
    model.dispose();
  }
}

function underDiffusersNames(
  file: WeightSource,
  path: string,
  model: AnyBlock,
  config: Json,
): WeightSource {
  const { start, original } = checkIsUnet(file, path);
  if (!original && start === '') return file;
  const layout = originalLayout(config, {});
  const nameOf = (key: string) =>
    original ? originalPlaces('unet', key, layout)[0].name.replace(/^model\.\w+\./, '') : key;
  const keys = new Map(model.parameters().map(({ key }) => [start + nameOf(key), key]));
  const own = file.names().filter((name) => name.startsWith(start));
  return renamed(file, new Map(own.map((name) => [keys.get(name) ?? name, name])));
}

/** The width of the embedding of a UNet, as multiple of that of one number, by models beside SVD. */
const SV3D = [1, 5];

/** Tensors in the blocks of a UNet. */
const IN_BLOCKS = /(^|\.)(down_blocks|mid_block|up_blocks|(input|output)_blocks|middle_block)\./;

function checkFits(
  model: AnyBlock,
  source: WeightSource,
  path: string,
  { isOwn, ...config }: UnetConfig,
): void {
  const fits = differences(model, source, { ignore: passOver }) === undefined;
  if (fits) checkModelWeights(model, source, 'unet'); // refuses quantised ones
  // A config of another UNet does not tell that this one has more layers.
  const ignore = (key: string) => fits && (isOwn || !IN_BLOCKS.test(key));
  const found = differences(model, source, { ignore });
  if (found === undefined) return;
  throw new CheckpointError(
    `The UNet in ${path} does not fit ${config.file}: ${found}.${looksLike(source, config)} Use ` +
      (isOwn
        ? 'the weights and the config of the same UNet.'
        : 'a UNet of the same architecture, or one with its own config.json beside it.'),
  );
}

/** A sentence that says which model a UNet of another shape is of, if that is known. */
function looksLike(source: WeightSource, { config }: ConfigFile): string {
  const embedding = 'add_embedding.linear_1.weight';
  if (!source.names().includes(embedding)) return '';
  const width = source.info(embedding).shape[source.tfjsAxes ? 0 : 1];
  return SV3D.some((times) => width === times * Number(config.addition_time_embed_dim))
    ? ' It looks like the UNet of SV3D, which turns a camera around an object.'
    : '';
}
