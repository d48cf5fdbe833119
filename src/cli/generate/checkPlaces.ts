/** Checks where outputs go: that they can be written, and replace nothing that is still needed. */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { shardsOf } from '../../checkpoints/diffusers/shards.ts';
import { localPath } from '../../files/localPath.ts';
import { fileKey } from '../../files/sameFile.ts';
import { isStream } from '../../files/writing/target.ts';
import { removeLeftovers } from '../../files/writing/temporary.ts';
import { framesIn } from '../../media/video/frames.ts';
import { checkOutput } from '../../media/video/output.ts';
import { UsageError } from '../terminal/errors.ts';
import type { GenerateCommand } from './options.ts';
import { stateFileOf } from './resume/keptState.ts';
import { IN_TERMINAL } from './watch/preview.ts';

/** A file or folder of a command. */
export interface Place {
  /** What it is for, as messages name it. */
  role: string;
  path: string;
}

/**
 * Checks everything but the model's files.
 *
 * @param paths Where the videos go.
 * @throws Error if an output cannot be written; UsageError if it is an input or another output.
 */
export async function checkPlaces(command: GenerateCommand, paths: string[]): Promise<void> {
  const { output, dump, images, latents, format } = command;
  if (paths.length > 1 && isStream(output))
    throw new UsageError(
      `--output "${output}" takes one video but there are ${paths.length}. Use the name of a file.`,
    );
  for (const path of paths) await checkOutput(path, format);
  if (dump !== undefined) await checkOutput(dump);
  if (previewFile(command) !== undefined) await checkPreview(previewFile(command)!);
  await removeLeftovers(tmpdir());
  const inputs = images.map((path) => ({ role: 'an IMAGE', path: localPath(path) }));
  if (latents !== undefined) inputs.push({ role: 'the file of --latents', path: latents });
  const taken = await keysOf(inputs);
  for (const place of outputsOf(command, paths)) {
    const keys = await outputKeys(place.path);
    refuseTaken(place, keys, taken);
    for (const key of keys) taken.set(key, place);
  }
}

/**
 * Checks that no output is a file of the model.
 *
 * @param models Its folder or file, and the folder of its configs.
 * @throws UsageError if one is.
 */
export async function checkModelIsKept(
  command: GenerateCommand,
  paths: string[],
  models: string[],
): Promise<void> {
  const taken = await keysOf(await filesOfModels(models));
  for (const place of outputsOf(command, paths))
    refuseTaken(place, await outputKeys(place.path), taken);
}

/**
 * Checks that an output is none of some other files.
 *
 * @throws UsageError if it is one.
 */
export async function checkKept(output: Place, others: Place[]): Promise<void> {
  refuseTaken(output, await outputKeys(output.path), await keysOf(others));
}

/** The files of models by their folders or files. */
export async function filesOfModels(models: string[]): Promise<Place[]> {
  const files = (await Promise.all(models.map(modelFiles))).flat();
  return files.map((path) => ({ role: 'a file of the model', path }));
}

/** The file of `--preview`, if it names one. */
const previewFile = ({ preview }: GenerateCommand) =>
  preview === IN_TERMINAL ? undefined : preview;

/** @throws Error if there is a file at `path` that this program has not written. */
async function checkPreview(path: string): Promise<void> {
  if (!existsSync(path) || (await (await import('../../media/video/animation.ts')).isOwnPng(path)))
    return;
  throw new UsageError(
    `--preview "${path}" would replace a file that this program has not written. Use another name.`,
  );
}

function outputsOf(command: GenerateCommand, paths: string[]): Place[] {
  const others = {
    '--dump': command.dump,
    '--preview': previewFile(command),
    'the state of the call': stateFileOf(command),
  };
  const named = Object.entries(others).flatMap(([role, path]) => (path ? [{ role, path }] : []));
  return [...paths.map((path) => ({ role: '--output', path })), ...named];
}

function refuseTaken({ role, path }: Place, keys: string[], taken: Map<string, Place>): void {
  const other = keys.map((key) => taken.get(key)).find((found) => found !== undefined);
  if (other === undefined) return;
  throw new UsageError(
    `${role} "${path}" would replace ${other.role}, "${other.path}". Use another name.`,
  );
}

async function keysOf(inputs: Place[]): Promise<Map<string, Place>> {
  const keys = new Map<string, Place>();
  for (const place of inputs) {
    const key = await fileKey(place.path, 0);
    if (key !== undefined) keys.set(key, place);
  }
  return keys;
}

/** The keys of an output, and of the frames that it replaces if it is a folder. */
async function outputKeys(path: string): Promise<string[]> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  const all = [path, ...(isFolder ? await framesIn(path) : [])];
  const keys = await Promise.all(all.map((each) => fileKey(each)));
  return keys.filter((key) => key !== undefined);
}

/**
 * The files of a model: its own and those that it is the index of, or those of its folder, but
 * pictures and videos in that.
 */
async function modelFiles(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory())
    return [path, ...(await shardsOf(path)).map((name) => join(dirname(path), name))];
  const files = await filesIn(path);
  const ofComponents = await Promise.all(files.map(filesIn));
  return [...files, ...ofComponents.flat()].filter(
    (file) => !/\.(png|gif|webp|mp4|webm)$/i.test(file),
  );
}

/** The paths of what is in a folder; none if it is a file. */
async function filesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.map((name) => join(folder, name));
}
