/** A model in one open original file, from the disk and the web alike. */
import type { Checkpoint, OtherUnet } from '../checkpoint.ts';
import { declaredModel } from '../components.ts';
import { checkCounts } from '../configs/counts.ts';
import { checkConfigs } from '../configs/readConfigs.ts';
import {
  type Component,
  componentNames,
  type WeightedComponent,
  weightedComponents,
} from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import { familyByKeys } from '../otherModels.ts';
import type { SafetensorsFile } from '../safetensors/reader.ts';
import { checkpointShape } from '../weights/load.ts';
import type { WeightSource } from '../weights/source.ts';
import { originalLayout, originalPlaces } from './keys.ts';
import { framesByName, publishedConfigs } from './publishedConfigs.ts';
import { originalSource, type Places } from './source.ts';

/** The configs of an original file, which holds only weights. */
export interface SingleFileOptions {
  /**
   * A folder in diffusers' layout with the configs; weights in it are not read. Default: the
   * configs of the published models.
   */
  config?: string;
  /**
   * Frames that the model was trained on, if `config` is not given. Default: by the file's name, 25
   * for `svd_xt`, 14 for `svd`.
   */
  numFrames?: number;
}

/**
 * Weights that are not used: the text half of CLIP, and the decoder and encoder that the other copy
 * of the VAE has.
 */
const UNUSED =
  /^(conditioner\.embedders\.0\.open_clip\.model\.(?!visual\.)|conditioner\.embedders\.3\.encoder\.(decoder|post_quant_conv)\.|first_stage_model\.(encoder|quant_conv|post_quant_conv)\.|model_ema\.)/;

/** What the names of a component's weights start with; of the VAE, all others. */
const OWNER: Record<WeightedComponent, RegExp> = {
  unet: /^model\.diffusion_model\./,
  image_encoder: /^conditioner\.embedders\.0\./,
  vae: /^(?!model\.diffusion_model\.|conditioner\.embedders\.0\.)/,
};

/** A file, and what its configs are. */
export interface OriginalFile extends SingleFileOptions {
  /** As it was given. */
  path: string;
  /** Its name. */
  name: string;
  /** Opens the folder of `config`. */
  openConfig(config: string): Promise<Pick<Checkpoint, 'index' | 'config'>>;
  unet?: OtherUnet;
  /** Opens the same once more. */
  reopen: Checkpoint['reopen'];
}

/**
 * The model in an open file, which closing it closes.
 * @throws CheckpointError if it is of another model, or its configs are not known.
 */
export async function originalCheckpoint(
  file: SafetensorsFile,
  given: OriginalFile,
): Promise<Checkpoint> {
  const { path, name, unet, config, reopen } = given;
  const family = familyByKeys(file.names());
  if (family !== undefined)
    throw new CheckpointError(
      `${path} ${family} Use an original file of Stable Video Diffusion, such as ` +
        'svd_xt.safetensors.',
    );
  const opened: WeightSource[] = [];
  const { index, configs, assumption } = await configsFor(given);
  const layout = originalLayout(configs.unet, configs.vae);
  const files: Checkpoint = {
    path,
    format: 'original',
    index,
    assumption,
    unet,
    config: (component) => structuredClone(configs[component]),
    async weights(component) {
      if (component === 'unet' && unet) {
        opened.push(await unet.weights(unet.config ?? { file: path, config: configs.unet }));
        return opened.at(-1)!;
      }
      const others = surplus.filter((name) => OWNER[component].test(name));
      const source = originalSource(file, component, places[component], others);
      if (config !== undefined) checkCounts(config, component, configs[component], source);
      else checkIsPublished(path, component, shapes[component], source);
      return source;
    },
    files: async () => [name],
    reopen,
    async close() {
      await Promise.all([file, ...opened.splice(0)].map((source) => source.close()));
    },
    [Symbol.asyncDispose]() {
      return this.close();
    },
  };
  const shapes = ofComponents((component) => shapesOf(files, component));
  const places = ofComponents((component): Places => {
    const keys = [...shapes[component].keys()];
    return new Map(keys.map((key) => [key, originalPlaces(component, key, layout)]));
  });
  const known = new Set(
    Object.values(places).flatMap((map) => [...map.values()].flat().map(({ name }) => name)),
  );
  const surplus = file.names().filter((name) => !known.has(name) && !UNUSED.test(name));
  return files;
}

const ofComponents = <T>(value: (component: WeightedComponent) => T) =>
  Object.fromEntries(weightedComponents.map((name) => [name, value(name)])) as Record<
    WeightedComponent,
    T
  >;

/** The weights that a component's config asks for, with their shapes in checkpoints. */
type Shapes = ReadonlyMap<string, number[]>;

function shapesOf(files: Checkpoint, component: WeightedComponent): Shapes {
  const model = declaredModel(files, component);
  const shapes = new Map(model.parameters().map((one) => [one.key, checkpointShape(one)]));
  model.dispose();
  return shapes;
}

/** @throws CheckpointError if tensors are of another size than those of the published models. */
function checkIsPublished(
  path: string,
  component: WeightedComponent,
  shapes: Shapes,
  source: WeightSource,
): void {
  const names = new Set(source.names());
  for (const [key, published] of shapes) {
    if (!names.has(key) || source.info(key).shape.join() === published.join()) continue;
    throw new CheckpointError(
      `${path} is of another size than the published models: ${key} of its ${component} is ` +
        `[${source.info(key).shape}] instead of [${published}]. Pass \`config\` (--config), a ` +
        "folder in diffusers' format with the configs of this model.",
    );
  }
}

type Configs = {
  index: Record<string, unknown>;
  configs: Record<Component, Record<string, unknown>>;
  assumption?: string;
};

async function configsFor(file: OriginalFile): Promise<Configs> {
  const own = await ownConfigs(file);
  const { path, unet } = file;
  if (!unet?.config) return own;
  const configs = { ...own.configs, unet: unet.config.config };
  checkConfigs(path, configs, unet.config);
  return { ...own, configs };
}

async function ownConfigs({
  path,
  name,
  config,
  numFrames,
  openConfig,
}: OriginalFile): Promise<Configs> {
  if (config !== undefined) {
    const model = await openConfig(config);
    const configs = componentNames.map((name) => [name, model.config(name)]);
    return { index: model.index, configs: Object.fromEntries(configs) };
  }
  const frames = numFrames ?? framesByName(name);
  if (frames === undefined) {
    throw new CheckpointError(
      `${path} does not say by its name how many frames the model was trained on. Pass ` +
        '`numFrames` (--num-frames): 25 for svd_xt, 14 for svd; or `config` (--config), a ' +
        'folder with the configs.',
    );
  }
  const assumption =
    `${name} is assumed to be a published model that was trained on ${frames} ` +
    `frames${numFrames === undefined ? ', by its name' : ''}.`;
  return { ...publishedConfigs(frames), assumption };
}
