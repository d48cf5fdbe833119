/** The index and the configs of a model in diffusers' layout, from the disk and the web alike. */
import { UNFIT } from '../../schedulers/names.ts';
import { firstProblem } from '../../text/kinds.ts';
import { type Component, componentNames, components } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { familyByBlocks, familyByPipeline } from '../otherModels.ts';
import type { ConfigFile, Json } from './json.ts';
import { misfit, schemas } from './schemas.ts';

/** The configs of a model. */
export type Configs = Record<Component, Json>;

/**
 * Checks the `model_index.json` of the model at `path`.
 * @throws CheckpointError if the model is of another class, lacks a component, or has one of
 * another class.
 */
export function checkIndex(path: string, index: Json): void {
  if (index._class_name !== 'StableVideoDiffusionPipeline') {
    const family = familyByPipeline(index._class_name);
    throw new CheckpointError(
      `${path} holds a model for ` +
        `${quoted(index._class_name)}${family ? `, which is ${family}` : ''}, not for ` +
        '"StableVideoDiffusionPipeline". Use a Stable Video Diffusion model.',
    );
  }
  const missing = componentNames.filter((name) => classOf(index, name) === undefined);
  if (missing.length > 0) {
    throw new CheckpointError(
      `${path}/model_index.json lacks ${missing.join(', ')}: a model needs all of ` +
        `${componentNames.join(', ')}.`,
    );
  }
  for (const name of componentNames) {
    const allowed: readonly string[] = components[name].classes;
    const found = classOf(index, name)!;
    if (allowed.includes(found)) continue;
    throw new CheckpointError(
      `${path}/model_index.json: ${name} is of the class ${quoted(found)}, but has to be ` +
        `${allowed.join(' or ')}.${name === 'scheduler' ? whyUnfit(found) : ''}`,
    );
  }
}

/** The class of a component in a `model_index.json`. */
function classOf(index: Json, name: Component): string | undefined {
  const entry = index[name]; // [library, class], both null if left out
  return Array.isArray(entry) && typeof entry[1] === 'string' ? entry[1] : undefined;
}

const whyUnfit = (scheduler: string) => (scheduler.endsWith('Scheduler') ? ` ${UNFIT}` : '');

/** The path of a component's config within its model. */
export const configFile = (component: Component): string =>
  `${component}/${components[component].config}`;

/**
 * Reads and checks the configs of the model at `path`. `read` reads one of its files. The class of
 * the scheduler is that of `model_index.json`, whatever its config says, as in diffusers.
 * @param unet The config of the UNet that is used instead of the model's own.
 * @throws CheckpointError if one is of another model, or has a value that is not allowed.
 */
export async function readConfigs(
  path: string,
  index: Json,
  read: (file: string) => Promise<Json>,
  unet?: ConfigFile,
): Promise<Configs> {
  const entries = componentNames.map(async (name) => [
    name,
    name === 'unet' && unet ? unet.config : await read(configFile(name)),
  ]);
  const configs: Configs = Object.fromEntries(await Promise.all(entries));
  configs.scheduler = { ...configs.scheduler, _class_name: classOf(index, 'scheduler') };
  checkConfigs(path, configs, unet);
  return configs;
}

/**
 * Checks the configs of the model at `path`, `unet` being the file of its UNet's if that is another.
 * @throws CheckpointError as `readConfigs` does.
 */
export function checkConfigs(path: string, configs: Configs, unet?: ConfigFile): void {
  const fileOf = (name: Component) =>
    name === 'unet' && unet ? unet.file : `${path}/${configFile(name)}`;
  checkBlocks(fileOf('unet').replace(/[/\\][^/\\]*$/, ''), configs.unet);
  checkProcessor(path, configs.feature_extractor);
  for (const name of componentNames) {
    const config = configs[name];
    const { rules, relations } = schemas[name];
    const broken = () => relations.map((relation) => relation(config)).find(Boolean);
    const problem = firstProblem(rules, config) ?? broken();
    if (problem !== undefined) throw new CheckpointError(`${fileOf(name)}: ${problem}.`);
  }
  const problem = misfit(configs);
  if (problem !== undefined) throw new CheckpointError(`${fileOf('unet')}: ${problem}.`);
}

function checkBlocks(folder: string, { down_block_types: down, up_block_types: up }: Json): void {
  const family = familyByBlocks([down ?? [], up ?? []].flat());
  if (family !== undefined) {
    throw new CheckpointError(
      `${folder} is not a UNet of Stable Video Diffusion: ${family}. Use a Stable Video ` +
        'Diffusion model.',
    );
  }
}

function checkProcessor(path: string, config: Json): void {
  const allowed: readonly string[] = components.feature_extractor.classes;
  // Newer releases of transformers write `image_processor_type`, older ones
  // `feature_extractor_type`.
  const found = config.image_processor_type ?? config.feature_extractor_type;
  if (typeof found !== 'string' || !allowed.includes(found)) {
    throw new CheckpointError(
      `${path}/feature_extractor is of the type ${quoted(found)}, but has to be ` +
        `${allowed.join(' or ')}.`,
    );
  }
}
