/** Takes the settings that an output stores: `--like`. */
import { openSafetensors } from '../../checkpoints/safetensors/file.ts';
import { readMetadata } from '../../media/video/readMetadata.ts';
import { hasEnding } from '../../text/endings.ts';
import { parseJson } from '../../text/json.ts';
import { messageOf } from '../../text/messages.ts';
import { argumentsOf, readValues } from '../terminal/arguments.ts';
import { UsageError } from '../terminal/errors.ts';
import { flagOf, type Option, pick, type Values } from '../terminal/options.ts';
import { generateOptions, storedParts } from './options.ts';

type GenerateValues = Values<typeof generateOptions>;

/** A call with the settings of an output. */
export interface Likeness {
  values: GenerateValues;
  images: string[];
  /** The options that were taken, as one would write them. */
  taken: string;
  /** The hash of the checkpoint, if it was stored. */
  hash?: string;
}

/**
 * The call `values` of `images`, with what was not passed as in the output `path`.
 * @param given Whether an option was passed.
 * @throws UsageError if the file stores no settings, or some that no option takes.
 */
export async function likeOutput(
  path: string,
  values: GenerateValues,
  images: string[],
  given: (name: string) => boolean,
): Promise<Likeness> {
  const { images: pictures, checkpoint, ...stored } = await settingsIn(path);
  const texts = new Map<string, string[]>();
  for (const [name, option] of Object.entries<Option>(generateOptions)) {
    const isStored = storedParts.some((part) => part === option.part);
    const hasPlace = (name !== 'encoder' || isEncoded(values)) && !rivals[name]?.(given, values);
    if (isStored && hasPlace && !given(name)) texts.set(name, textsOf(stored[name], option));
  }
  const names = [...texts].flatMap(([name, all]) => (all.length > 0 ? [name] : []));
  const options = pick(generateOptions, ...(names as (keyof typeof generateOptions)[]));
  const taken = readValues(argumentsOf(texts), options, 'generate');
  const words = Object.entries<Option>(options).flatMap(([name, option]) =>
    texts
      .get(name)!
      .filter((text) => text !== `${option.default}`)
      .map((text) => `--${flagOf(name, option)}${text === '' ? '' : ` ${text}`}`),
  );
  const listed = Array.isArray(pictures) ? pictures.map(String) : [];
  const { hash } = (checkpoint ?? {}) as { hash?: string };
  return {
    values: { ...values, ...taken },
    images: images.length > 0 ? images : listed,
    taken: words.join(' '),
    hash,
  };
}

type Rival = (given: (name: string) => boolean, values: GenerateValues) => boolean;

const hasOwnLevels: Rival = (_, { scheduler }) => scheduler === 'animatelcm';

/** Whether something else that was passed stands in the place of an option. */
const rivals: Record<string, Rival> = {
  sigmas: (given, values) =>
    ['schedule', 'numInferenceSteps'].some(given) || hasOwnLevels(given, values),
  schedule: (given, values) => given('sigmas') || hasOwnLevels(given, values),
};

/** Whether the new output is one that an encoder of `--encoder` makes. */
function isEncoded({ output, format }: GenerateValues): boolean {
  const name = format === undefined ? output : `.${format}`;
  return name === undefined || hasEnding(name, '.mp4', '.webm');
}

/** A stored value as the texts that one would pass; none if it was not passed. */
export function textsOf(value: unknown, { choices, many, text = String }: Option): string[] {
  if (value === undefined || value === null) return [];
  if (typeof value === 'boolean') {
    if (choices) return [choices[value ? 0 : 1]];
    return value ? [''] : [];
  }
  return many ? [value].flat().map(String) : [text(value as never)];
}

/** Everything that an output stores, by name. */
async function settingsIn(path: string): Promise<Record<string, unknown>> {
  const refused = (why: string) => new UsageError(`--like ${path}: ${why}`);
  const settings = await readSettings(path).catch((error) => {
    if (error.code === 'ENOENT') throw refused('there is no such file.');
    const isSystems = typeof error.code === 'string' && typeof error.syscall === 'string';
    throw refused(isSystems ? `${messageOf(error)}.` : 'it is not an output of svd generate.');
  });
  if (settings?.seeds !== undefined) return settings;
  throw refused('no settings of svd generate are stored there. Use a file that it has written.');
}

async function readSettings(path: string): Promise<Record<string, unknown> | undefined> {
  if (hasEnding(path, '.safetensors')) {
    const file = await openSafetensors(path);
    await file.close();
    const { settings } = file.metadata;
    return settings ? (parseJson(settings) as Record<string, unknown>) : undefined;
  }
  const texts = await readMetadata(path);
  return (
    texts && Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, read(text)]))
  );
}

/** What a text stands for: a number, a list, or the text itself. */
function read(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}
