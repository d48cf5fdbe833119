/** Original single-file checkpoints as folders in diffusers' layout. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeFolderAtomically } from '../files/atomic.ts';
import { CheckpointError } from './errors.ts';
import { componentNames, components, weightedComponents, weightFileNames } from './modelFiles.ts';
import { openModelFolder } from './modelFolder.ts';
import { publishedConfigs } from './originalConfigs.ts';
import { checkOriginal, originalSource } from './originalFile.ts';
import { originalLayout } from './originalKeys.ts';
import { openSafetensors } from './safetensorsFile.ts';
import { type TensorToWrite, writeSafetensors } from './safetensorsWriter.ts';

/** Options of `convertOriginal`. */
export interface ConvertOriginalOptions {
  /** A folder in diffusers' layout with the configs; weights in it are not read. Default: the configs of the published models. */
  config?: string;
  /** Frames that the model was trained on, if `config` is not given. Default: by the file's name, 25 for `svd_xt`, 14 for `svd`. */
  numFrames?: number;
  /** Told of the bytes that are written. */
  onProgress?: (progress: { stage: 'converting'; step: number; steps: number }) => void;
  /** Stops the work; nothing is left of it then. */
  signal?: AbortSignal;
}

/**
 * Writes the model in an original file (`svd_xt.safetensors` and its like) as a folder in diffusers' layout, bit for bit and one tensor at
 * a time. The folder appears when it is complete.
 * @throws CheckpointError if the file is no such model, or does not fit the configs; the signal's reason if that aborts.
 */
export async function convertOriginal(path: string, folder: string, options: ConvertOriginalOptions = {}): Promise<void> {
  const { index, configs } = await configsFor(path, options);
  const layout = originalLayout(configs.unet, configs.vae, configs.image_encoder);
  const file = await openSafetensors(path);
  try {
    checkOriginal(file, path, layout);
    const sources = weightedComponents.map((component) => ({ component, source: originalSource(file, component, layout) }));
    const steps = sources.reduce((sum, { source }) => sum + source.names().reduce((bytes, name) => bytes + source.info(name).bytes, 0), 0);
    let step = 0;
    await writeFolderAtomically(folder, async (temporary) => {
      await writeFile(join(temporary, 'model_index.json'), text(index));
      for (const name of componentNames) {
        await mkdir(join(temporary, name));
        await writeFile(join(temporary, name, components[name].config), text(configs[name]));
      }
      for (const { component, source } of sources) {
        const tensors = source.names().map((name): [string, TensorToWrite] => {
          const { dtype, shape, bytes } = source.info(name);
          const data = async () => {
            options.signal?.throwIfAborted();
            const target = new Uint8Array(bytes);
            await source.readBytes!(name, target);
            step += bytes;
            options.onProgress?.({ stage: 'converting', step, steps });
            return target;
          };
          return [name, { dtype, shape, data }];
        });
        const target = join(temporary, component, weightFileNames(component).single);
        await writeSafetensors(target, Object.fromEntries(tensors), { format: 'pt' });
      }
    });
  } finally {
    await file.close();
  }
}

async function configsFor(path: string, { config, numFrames }: ConvertOriginalOptions): Promise<ReturnType<typeof publishedConfigs>> {
  if (config !== undefined) {
    const model = await openModelFolder(config);
    const configs = Object.fromEntries(componentNames.map((name) => [name, model.config(name)]));
    return { index: model.index, configs: configs as ReturnType<typeof publishedConfigs>['configs'] };
  }
  const frames = numFrames ?? framesByName(basename(path));
  if (frames === undefined) {
    throw new CheckpointError(
      `${path} does not say by its name how many frames the model was trained on. Give --num-frames (25 for svd_xt, 14 for svd), or --config with a folder of configs.`,
    );
  }
  return publishedConfigs(frames);
}

function framesByName(name: string): number | undefined {
  if (/^svd_xt\b|^svd_xt_/.test(name)) return 25;
  return /^svd(_image_decoder)?\.safetensors$/.test(name) ? 14 : undefined;
}

const text = (json: unknown) => `${JSON.stringify(json, null, 2)}\n`;
