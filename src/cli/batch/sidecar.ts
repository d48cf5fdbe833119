/**
 * The file beside an output that says of what it was made, and its hash, so that a complete output
 * is told from one that was altered, cut or made otherwise.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { framesIn } from '../../media/video/frames.ts';
import { byNumber } from '../../text/inOrder.ts';
import { generateOptions, storedParts } from '../generate/options.ts';
import type { Report } from '../generate/run/call.ts';
import type { StoredSettings } from '../generate/storedSettings.ts';
import { askedLora } from '../lora.ts';
import { partOf } from '../terminal/options.ts';
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
 */
export async function writeSidecar(
  item: Item,
  { output, settings, timings }: Report,
  posters: (string | undefined)[],
): Promise<Sidecar> {
  const hashed = output.map(async (path, i) => ({
    ...{ file: basename(path), sha256: await hashOf(path), poster: posters[i] },
  }));
  const seconds = Object.values(timings).reduce((sum, time) => sum + time, 0);
  const made = { videos: await Promise.all(hashed), inputs: await inputsOf(item) };
  const sidecar = { ...made, asked: askedOf(item), settings, seconds };
  const text = `${JSON.stringify(sidecar, undefined, 1)}\n`;
  await writeAtomically(sidecarOf(item.output), (temporary) => writeFile(temporary, text));
  return sidecar;
}

/** The sidecar of an item; undefined if there is none, or it is of another picture or call. */
export async function readSidecar(item: Item): Promise<Sidecar | undefined> {
  try {
    const sidecar: Sidecar = JSON.parse(await readFile(sidecarOf(item.output), 'utf8'));
    const isOfItem =
      JSON.stringify(sidecar.asked) === JSON.stringify(askedOf(item)) &&
      sidecar.inputs === (await inputsOf(item)) &&
      Array.isArray(sidecar.settings.seeds);
    return isOfItem ? sidecar : undefined;
  } catch {
    return undefined;
  }
}

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
  const loraScales = lora?.map((text) => askedLora(text).scale);
  return JSON.parse(JSON.stringify({ ...asked, loraScales }));
}

async function inputsOf({ picture, command }: Item): Promise<string> {
  const hash = createHash('sha256');
  hash.update(isAddress(picture) ? picture : await hashOf(picture));
  if (command.latents !== undefined) hash.update(await hashOf(command.latents));
  return hash.digest('hex');
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  if ((await stat(path)).isDirectory())
    for (const frame of (await framesIn(path)).sort(byNumber))
      hash.update(`${await hashOf(frame)}  ${basename(frame)}\n`);
  else for await (const bytes of createReadStream(path)) hash.update(bytes);
  return hash.digest('hex');
}
