/**
 * The file beside an output that says of what it was made, and its hash, so that a complete output
 * is told from one that was altered, cut or made otherwise.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { sha256OfFiles } from '../../files/sha256.ts';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { framesIn } from '../../media/video/frames.ts';
import { byNumber } from '../../text/inOrder.ts';
import { generateOptions, storedParts } from '../generate/options.ts';
import type { Report } from '../generate/run/call.ts';
import type { StoredSettings } from '../generate/storedSettings.ts';
import { askedLora } from '../lora.ts';
import { flagOf, partOf } from '../terminal/options.ts';
import { isAddress, SIDECAR } from './findPictures.ts';
import type { Item } from './items.ts';

/** A video of an item: a file, or a folder of PNG pictures. */
export interface Video {
  /** Its name in the folder of the sidecar. */
  file: string;
  /** SHA-256 of the file; of a folder, that of the lines that `sha256sum` prints for its frames. */
  sha256: string;
  /** Its first frame as a small picture, a `data:` address; tensors may have none. */
  poster?: string;
}

/** What is known of how an item was made. */
export interface Sidecar {
  videos: Video[];
  /** The picture: its address, or its path from the folder of the sidecar on. */
  picture: string;
  /** SHA-256 of the picture and the start noise. */
  inputs: string;
  /** The options that decide what the video is, as they were passed. */
  asked: Record<string, unknown>;
  /** The settings as the output stores them. */
  settings: StoredSettings;
  /** Seconds that it took. */
  seconds: number;
}

/** The path of the sidecar of an output, which is a file or a folder. */
export const sidecarOf = (output: string): string => output.replace(/(?<=.)\/+$/, '') + SIDECAR;

/**
 * Writes the sidecar of an item that is made.
 * @param posters The first frames of its videos.
 * @param inputs What `inputsOf` has given when they were read.
 */
export async function writeSidecar(
  item: Item,
  { output, settings, timings }: Report,
  posters: (string | undefined)[],
  inputs: string,
): Promise<Sidecar> {
  const hashed = output.map(async (path, i) => ({
    ...{ file: basename(path), sha256: await hashOf(path), poster: posters[i] },
  }));
  const seconds = Object.values(timings).reduce((sum, time) => sum + time, 0);
  const made = { videos: await Promise.all(hashed), picture: pictureOf(item) };
  const sidecar = { ...made, inputs, asked: askedOf(item), settings, seconds };
  const text = `${JSON.stringify(sidecar, undefined, 1)}\n`;
  await writeAtomically(sidecarOf(item.output), (temporary) => writeFile(temporary, text));
  return sidecar;
}

/** The sidecar of an item; undefined if none can be read. */
export async function readSidecar(item: Item): Promise<Sidecar | undefined> {
  try {
    const sidecar: Sidecar = JSON.parse(await readFile(sidecarOf(item.output), 'utf8'));
    const isWhole = [sidecar.videos, sidecar.settings.seeds].every(Array.isArray);
    return isWhole && sidecar.asked ? sidecar : undefined;
  } catch {
    return undefined;
  }
}

/** What `changesSince` calls a picture or start noise with other bytes. */
export const PICTURE = 'the picture';

/** What is otherwise in an item than in its sidecar: `PICTURE` first, and options such as `--fps`. */
export async function changesSince(item: Item, sidecar: Sidecar): Promise<string[]> {
  const asked = askedOf(item);
  const names = Object.keys({ ...sidecar.asked, ...asked }).filter(
    (name) => JSON.stringify(sidecar.asked[name]) !== JSON.stringify(asked[name]),
  );
  const flags = names.map((name) => `--${flagOf(name, { ...Object(generateOptions)[name] })}`);
  const inputs = await inputsOf(item).catch(() => undefined);
  return inputs === sidecar.inputs ? flags : [PICTURE, ...flags];
}

/** The picture that the videos of an item show, if it is another one and they are there. */
export function otherPicture(item: Item, { picture, videos }: Sidecar): string | undefined {
  const folder = dirname(item.output);
  if (picture === pictureOf(item) || !videos.some(({ file }) => existsSync(join(folder, file))))
    return undefined;
  return isAddress(picture) ? picture : resolve(folder, picture);
}

const pictureOf = ({ picture, output }: Item): string =>
  isAddress(picture) ? picture : relative(dirname(output), picture);

/** Whether the videos of an item are there as they were written. */
export async function areWhole({ output }: Item, { videos }: Sidecar): Promise<boolean> {
  const hashes = videos.map(({ file }) =>
    hashOf(join(dirname(output), file)).catch(() => undefined),
  );
  return (await Promise.all(hashes)).every((hash, i) => hash === videos[i].sha256);
}

/** The options of an item but those that say where files are, whose contents count. */
function askedOf({ command }: Item): Sidecar['asked'] {
  const { model, unet, config, latents, lora, ...asked } = partOf(
    command,
    generateOptions,
    ...storedParts,
  );
  const scales = lora?.map((text) => askedLora(text).scale);
  return JSON.parse(JSON.stringify({ ...asked, lora: scales }));
}

/** SHA-256 of the picture and the start noise of an item. */
export async function inputsOf({ picture, command }: Item): Promise<string> {
  const hash = createHash('sha256');
  hash.update(isAddress(picture) ? picture : await hashOf(picture));
  if (command.latents !== undefined) hash.update(await hashOf(await existingPath(command.latents)));
  return hash.digest('hex');
}

async function hashOf(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory()) return (await sha256OfFiles([path]))[0];
  const frames = (await framesIn(path)).sort(byNumber);
  const hashes = await sha256OfFiles(frames);
  const lines = frames.map((frame, i) => `${hashes[i]}  ${basename(frame)}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex');
}
