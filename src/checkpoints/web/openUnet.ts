/** Opens a UNet behind a URL that replaces that of a model. */
import { hasEnding } from '../../text/endings.ts';
import type { OtherUnet } from '../checkpoint.ts';
import { components } from '../diffusers/names.ts';
import { isUnetConfig, unetSource } from '../unet/source.ts';
import { unwrapped } from '../weights/renamed.ts';
import { webExists, webFile, webJson } from './files.ts';
import {
  findWeights,
  folderUrl,
  openWeights,
  type WeightUrlOptions,
  weightUrl,
} from './weights.ts';

/**
 * Opens the UNet at `url`: a `.safetensors` file, or the folder of a UNet or of a whole model.
 * Reads the config beside it; its weights are downloaded when they are asked for.
 * @throws CheckpointError if there is none.
 */
export async function openUnetUrl(url: string, options: WeightUrlOptions): Promise<OtherUnet> {
  const { variant: _, ...web } = options;
  const file = await weightFile(url, options);
  const beside = new URL(components.unet.config, file).href;
  const json = (await webExists(beside, web)) ? await webJson(beside, web) : {};
  const config = isUnetConfig(json) ? { file: beside, config: json } : undefined;
  return {
    path: file,
    isOfDiffusers: false,
    config,
    async weights(expected) {
      const open = (name: string) => webFile(name, web);
      const source = unwrapped(await openWeights(file, 'unet', open, web), file);
      return unetSource(source, file, { ...expected, isOwn: config !== undefined });
    },
    files: async () => [file, ...(config ? [beside] : [])],
  };
}

async function weightFile(url: string, options: WeightUrlOptions): Promise<string> {
  const folder = folderUrl(url);
  if (hasEnding(url.split(/[?#]/)[0]!, '.safetensors'))
    return new URL(url, globalThis.location?.href).href;
  const inside = await findWeights(`${folder}unet/`, 'unet', options);
  return inside ?? weightUrl(folder, 'unet', options);
}
