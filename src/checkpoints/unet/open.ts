/** Opens a UNet on the disk that replaces that of a model. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { hasEnding } from '../../text/endings.ts';
import type { OtherUnet } from '../checkpoint.ts';
import { readJson } from '../configs/jsonFile.ts';
import { checkInside } from '../diffusers/insideFolder.ts';
import { components, PICKLES } from '../diffusers/names.ts';
import { filesIn, openWeightFile } from '../diffusers/openFolder.ts';
import { shardsOf } from '../diffusers/shards.ts';
import { CheckpointError } from '../errors.ts';
import { isFolder } from '../hub/locate.ts';
import { pickleRefusal } from '../otherModels.ts';
import { chooseUnet } from './choose.ts';
import { checkIsUnet, isUnetConfig, unetSource } from './source.ts';

/**
 * Opens a UNet: a weight file or the index of several, in diffusers' or the original names of
 * weights, which may hold other models too; or a folder with one. Reads the config beside it, if
 * that is of a UNet, and the names of the weights.
 * @param variant The variant to take in a folder that has it.
 * @throws CheckpointError if there is none, or it is of another model.
 */
export async function openUnet(path: string, variant?: string): Promise<OtherUnet> {
  const file = await weightFileOf(await existingPath(path), variant);
  const folder = dirname(file);
  const beside = join(folder, components.unet.config);
  const shards = await shardsOf(file);
  await checkInside(folder, [...shards, basename(beside)]);
  const json = existsSync(beside) ? await readJson(beside) : {};
  const config = isUnetConfig(json) ? { file: beside, config: json } : undefined;
  const isOfDiffusers = await hasNamesOfDiffusers(file);
  return {
    path: file,
    isOfDiffusers,
    config,
    async weights(expected) {
      const source = await openWeightFile(file);
      try {
        return unetSource(source, file, { ...expected, isOwn: config !== undefined });
      } catch (error) {
        await source.close();
        throw error;
      }
    },
    files: async () => [
      file,
      ...shards.map((name) => join(folder, name)),
      ...(config ? [beside] : []),
    ],
  };
}

/** @throws CheckpointError if the file holds another model. */
async function hasNamesOfDiffusers(file: string): Promise<boolean> {
  const source = await openWeightFile(file);
  try {
    const { start, original } = checkIsUnet(source, file);
    return !original && start === '' && !source.tfjsAxes && !source.remark;
  } finally {
    await source.close();
  }
}

async function weightFileOf(path: string, variant?: string): Promise<string> {
  if (hasEnding(path, ...PICKLES)) throw new CheckpointError(pickleRefusal(path));
  if (!(await isFolder(path))) return path;
  const file = chooseUnet({ label: path, paths: await pathsIn(path) }, '', variant);
  await checkInside(path, [file]);
  return join(path, file);
}

/** The files of a folder and of the folders in it. */
async function pathsIn(folder: string): Promise<string[]> {
  const names = (await filesIn(folder)).sort();
  const paths = names.map(async (name) => {
    const inside = await readdir(join(folder, name)).catch(() => undefined);
    return inside?.sort().map((file) => `${name}/${file}`) ?? [name];
  });
  return (await Promise.all(paths)).flat();
}
