/** Opens a UNet behind a URL that replaces that of a model. */
import { hasEnding } from '../../text/endings.ts';
import type { OtherUnet } from '../checkpoint.ts';
import { components } from '../diffusers/names.ts';
import { isUnetConfig, unetSource } from '../unet/source.ts';
import type { WebFiles } from './files.ts';
import { addressOf, findWeights, folderUrl, openWeights, shardUrls, weightUrl } from './weights.ts';

/**
 * Opens the UNet at `url`: a `.safetensors` file, or the folder of a UNet or of a whole model.
 * Reads the config beside it.
 * @throws CheckpointError if there is none.
 */
export async function openUnetUrl(
  files: WebFiles,
  url: string,
  variant?: string,
): Promise<OtherUnet> {
  const file = await weightFile(files, url, variant);
  const beside = new URL(components.unet.config, file).href;
  const json = (await files.find(beside)) ? await files.json(beside) : {};
  const config = isUnetConfig(json) ? { file: beside, config: json } : undefined;
  return {
    path: file,
    isOfDiffusers: false,
    config,
    async weights(expected) {
      const source = await openWeights(files, file, 'unet');
      return unetSource(source, file, { ...expected, isOwn: config !== undefined });
    },
    files: async () => [file, ...(await shardUrls(files, file)), ...(config ? [beside] : [])],
  };
}

async function weightFile(files: WebFiles, url: string, variant?: string): Promise<string> {
  const folder = folderUrl(url);
  if (hasEnding(url.split(/[?#]/)[0]!, '.safetensors')) return addressOf(url);
  const inside = await findWeights(files, `${folder}unet/`, 'unet', variant);
  return inside ?? weightUrl(files, folder, 'unet', variant);
}
