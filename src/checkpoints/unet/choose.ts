/** Which of the files of a folder or repository is the UNet that is meant. */
import { variantsAmong, weightFileAmong } from '../diffusers/names.ts';
import { CheckpointError, listed } from '../errors.ts';
import { pickleRefusal } from '../otherModels.ts';

/** Where the files are. */
export interface Place {
  /** Names the place in messages, as one would pass it. */
  label: string;
  /** The paths of all files there. */
  paths: readonly string[];
}

const SHARD = /-\d+-of-\d+\.(\S+\.)?safetensors$/i;

/** A weight file, or the index of several. Shards are none by themselves. */
const isWeights = (name: string) =>
  /\.safetensors(\.index(\.[^.]+)?\.json)?$/i.test(name) && !SHARD.test(name);

/**
 * The weight file of a UNet, or the index of several: `path` itself if it is a file; in a folder
 * that in `unet`, that in diffusers' file names, or the only one.
 * @param path A file or folder among the paths; empty for all of them.
 * @param variant The variant to take if it is there, otherwise those without one or the only one.
 * @throws CheckpointError that names what there is, if there is none or several.
 */
export function chooseUnet({ label, paths }: Place, path: string, variant?: string): string {
  if (paths.includes(path)) return path;
  const top = path === '' ? '' : `${path}/`;
  const inside = paths.filter((one) => one.startsWith(top)).map((one) => one.slice(top.length));
  for (const folder of ['unet/', '']) {
    const file = inDiffusersNames(label, folder, inside, variant);
    if (file !== undefined) return top + file;
  }
  const found = unetsAmong(inside);
  if (found.length === 1) return chooseUnet({ label, paths }, top + found[0], variant);
  const where = path === '' ? label : `${label}/${path}`;
  if (found.length > 1)
    throw new CheckpointError(
      `${where} has several files of weights: ${listed(found)}. Name one of them, such as ` +
        `${where}/${found[0]}.`,
    );
  throw new CheckpointError(whatThereIs(label, path, paths, inside));
}

/** What could be a UNet: weight files, and folders in which they have diffusers' names. */
function unetsAmong(paths: readonly string[]): string[] {
  const found = paths.filter(isWeights).map((path) => {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const inFolder = folder !== '' && variantsAmong([path.slice(folder.length)], 'unet').length > 0;
    return inFolder ? folder.slice(0, -1) : path;
  });
  return [...new Set(found)];
}

/** The weight file in a folder in which files have diffusers' names. */
function inDiffusersNames(
  label: string,
  folder: string,
  paths: readonly string[],
  variant?: string,
): string | undefined {
  const names = paths
    .filter((one) => one.startsWith(folder))
    .map((one) => one.slice(folder.length));
  const variants = variantsAmong(names, 'unet');
  const only = variants.length === 1 ? variants[0] : undefined;
  for (const wanted of [variant, undefined, only]) {
    const file = weightFileAmong(names, 'unet', wanted);
    if (file !== undefined) return folder + file;
  }
  if (variants.length === 0) return undefined;
  throw new CheckpointError(
    `The UNet in ${label} has the variants ${variants.join(', ')}. Choose one by \`variant\` ` +
      '(--variant), or name its file.',
  );
}

function whatThereIs(
  label: string,
  path: string,
  paths: readonly string[],
  inside: readonly string[],
): string {
  const pickle = inside.find((one) => /\.(bin|ckpt|pt|pth)$/i.test(one));
  if (pickle !== undefined)
    return pickleRefusal(`${label}/${path === '' ? '' : `${path}/`}${pickle}`);
  const all = unetsAmong(paths);
  const shards = paths.filter((one) => SHARD.test(one));
  const others =
    shards.length > 0
      ? `has ${listed(shards)}, but not the .safetensors.index.json of these shards`
      : 'has no weights in .safetensors files';
  const there = all.length > 0 ? `has ${listed(all)}` : others;
  if (inside.length > 0 || path === '') return `${label} has no UNet: it ${there}.`;
  return `${label} has no ${path}: it ${there}.`;
}
