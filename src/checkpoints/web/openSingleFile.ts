/** An original single-file checkpoint behind a URL. */
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import { originalCheckpoint, type SingleFileOptions } from '../original/checkpoint.ts';
import { readSafetensors } from '../safetensors/reader.ts';
import { WebFiles } from './files.ts';
import { openUnetUrl } from './openUnet.ts';
import {
  type OpenUrlOptions,
  openFolder,
  openUrlOptionKinds,
  type WebCheckpoint,
  weightsOf,
} from './openUrl.ts';
import { addressOf } from './weights.ts';

/** Options of `openSingleFileUrl`. `config` is the address of a folder. */
export interface OpenSingleFileUrlOptions
  extends Omit<OpenUrlOptions, 'variant'>,
    SingleFileOptions {}

const { variant: _, ...webKinds } = openUrlOptionKinds;
const singleFileKinds: Kinds<OpenSingleFileUrlOptions> = {
  ...webKinds,
  config: kinds.text,
  numFrames: kinds.count,
};

/**
 * Opens an original file, such as `svd_xt.safetensors`, at `url`, and reads the names in it.
 * @throws CheckpointError if it is of another model, or its configs are not known.
 */
export async function openSingleFileUrl(
  url: string | URL,
  options: OpenSingleFileUrlOptions = {},
): Promise<WebCheckpoint> {
  checkOptionValues('openSingleFileUrl', options, singleFileKinds);
  const { config, numFrames, unet: unetUrl, ...web } = options;
  const path = addressOf(url);
  const files = new WebFiles(web);
  const unet = unetUrl === undefined ? undefined : await openUnetUrl(files, unetUrl);
  const open = async (): Promise<WebCheckpoint> => {
    const checkpoint = await originalCheckpoint(await readSafetensors(await files.open(path)), {
      ...{ path, config, numFrames, unet },
      name: decodeURIComponent(new URL(path).pathname.split('/').at(-1)!),
      openConfig: (folder) => openFolder(files, folder),
      reopen: open,
    });
    const toFetch = () => weightsOf(async () => [path], unet);
    return {
      ...checkpoint,
      fetch: async () => files.fetch(await toFetch()),
      download: async () => files.download(await toFetch()),
    };
  };
  return open();
}
