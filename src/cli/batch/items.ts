/** Turns the arguments of commands on many pictures into calls of `svd generate`. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { localPath } from '../../files/localPath.ts';
import { fileKey } from '../../files/sameFile.ts';
import { STANDARD } from '../../files/writing/target.ts';
import { kebabCase } from '../../text/cases.ts';
import { hasEnding } from '../../text/endings.ts';
import { messageOf } from '../../text/messages.ts';
import { didYouMean } from '../../text/nearest.ts';
import { quoted } from '../../text/printable.ts';
import { generateCommand } from '../generate/checkCommand.ts';
import { chosenValues } from '../generate/command.ts';
import { defaultOutput, outputPaths } from '../generate/defaultOutput.ts';
import { textsOf } from '../generate/like.ts';
import type { GenerateCommand, generateOptions } from '../generate/options.ts';
import { askedLora } from '../lora.ts';
import { argumentsOf, readValues } from '../terminal/arguments.ts';
import { UsageError } from '../terminal/errors.ts';
import { flagOf, type Option, pick, placeholderOf, type Values } from '../terminal/options.ts';
import { findPictures, foundAt, isAddress } from './findPictures.ts';
import { manifestEndings, type Row, readManifest } from './manifest.ts';
import { type manyOptions, namesOfOne, rowOptions } from './options.ts';

/** A picture with the call that animates it. */
export interface Item {
  /** The absolute path of the picture, or its address. */
  picture: string;
  /** The absolute path of the output; a folder ends with `/`. */
  output: string;
  /** The call of `svd generate`. Its `output` is that one; its picture is as one would pass it. */
  command: GenerateCommand;
  /** Where it comes from: `list.csv:3`, or the argument. */
  from: string;
}

type ManyValues = Omit<Values<typeof manyOptions>, 'outputDir'>;
type RowValues = Partial<Values<typeof rowOptions>>;
type Given = (name: string) => boolean;

/** What a command has for one picture, before its options are checked together. */
interface Wanted {
  picture: string;
  /** The output of a row, or the folder for it below the one for all. */
  output?: string;
  folder: string;
  values: RowValues;
  from: string;
}

/**
 * The calls for all pictures, in the order of the arguments.
 * @param inputs Pictures, folders, glob patterns and manifests.
 * @param common The options for all of them; those of a row go before.
 * @param given Whether a common option was passed.
 * @param outputDir The folder of relative outputs.
 * @throws UsageError if nothing is found, a manifest is wrong (with its line and column), an option
 * is, or two outputs are one file, or a picture.
 */
export async function readItems(
  inputs: string[],
  common: ManyValues,
  given: Given,
  outputDir: string,
): Promise<Item[]> {
  if (inputs.length === 0)
    throw new UsageError(
      'an INPUT is required: a picture, a folder, a pattern such as "photos/*.jpg", or a manifest ' +
        `(${manifestEndings.join(', ')}).`,
    );
  const wanted = (await Promise.all(inputs.map((input) => wantedBy(input, outputDir)))).flat();
  const items: Item[] = [];
  const seen = new Set<string>();
  for (const one of wanted) {
    const item = await naming(one.from, () => itemOf(one, common, given, outputDir));
    // A picture that several arguments mean is one.
    const key = one.output === undefined && one.from === one.picture ? item.picture : '';
    if (!seen.has(key)) items.push(item);
    if (key !== '') seen.add(key);
  }
  await checkOutputs(items);
  return items;
}

/** Does `work`, whose errors get `from` in front. */
async function naming<T>(from: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UsageError(`${from}: ${messageOf(error)}`);
  }
}

async function wantedBy(input: string, outputDir: string): Promise<Wanted[]> {
  if (input === STANDARD)
    throw new UsageError('- is standard input, which is for one picture: use svd generate.');
  const found = await foundAt(input);
  if (found?.isFile() && hasEnding(input, ...manifestEndings)) {
    const rows = await readManifest(localPath(input));
    if (rows.length === 0) throw new UsageError(`${input} lists no picture.`);
    return Promise.all(rows.map((row) => wantedByRow(row, dirname(input), outputDir)));
  }
  const pictures = await findPictures(input, found);
  return pictures.map((source) => ({ ...source, values: {}, from: source.picture }));
}

/** @param folder That of the manifest, which relative paths begin at. */
async function wantedByRow(
  { from, header, cells }: Row,
  folder: string,
  outputDir: string,
): Promise<Wanted> {
  const wanted: Wanted = { picture: '', folder: '', values: {}, from };
  const seen = new Map<string, string>();
  for (const [column, value] of cells) {
    const name = await naming(`${header}, column ${column || '""'}`, () => {
      const found = nameOf(column);
      if (seen.has(found))
        throw new UsageError(`it is the same as the column ${seen.get(found)}. Leave out one.`);
      seen.set(found, column);
      return found;
    });
    await naming(`${from}, column ${column}`, () => {
      if (value === undefined || value === null) return;
      if (name !== 'picture' && name !== 'output')
        Object.assign(wanted.values, valueIn(name, value, folder, outputDir));
      else if (typeof value === 'string' && value.trim() !== '')
        wanted[name] = name === 'output' ? value : below(folder, value);
      else throw new UsageError(`it has to be a path but is ${quoted(value)}.`);
    });
  }
  if (wanted.picture === '') throw new UsageError(`${from} has no picture: use a column picture.`);
  return wanted;
}

const below = (folder: string, path: string): string =>
  isAddress(path) || isAbsolute(path) || folder === '.' ? path : join(folder, path);

/** The letters of a name, which are the same in all its spellings. */
const lettersOf = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

/** The names of columns: those of options, with their other names. */
const columnNames: [column: string, name: string][] = Object.entries<Option>(rowOptions).flatMap(
  ([name, option]) =>
    [name, flagOf(name, option), ...(option.aliases ?? [])].map((one): [string, string] => [
      kebabCase(one),
      name,
    ]),
);
for (const own of ['picture', 'output']) columnNames.push([own, own]);
const columns = new Map(columnNames.map(([column, name]) => [lettersOf(column), name]));

const otherColumns = new Map(
  Object.entries({
    ...namesOfOne,
    ...Object.fromEntries(['image', 'input', 'path', 'file'].map((name) => [name, 'Use picture.'])),
    ...Object.fromEntries(
      ['output-dir', 'preview', 'json', 'quiet'].map((name) => [name, `It is for all: --${name}.`]),
    ),
  }).map(([column, advice]) => [lettersOf(column), ` ${advice}`]),
);

/** What a column is for. */
function nameOf(column: string): string {
  const name = columns.get(lettersOf(column));
  if (name !== undefined) return name;
  const known = columnNames.map(([one]) => one);
  throw new UsageError(
    `there is no such column.${otherColumns.get(lettersOf(column)) ?? didYouMean(kebabCase(column), known)} ` +
      'Columns are picture, output and options of svd generate without their dashes.',
  );
}

/** The value of an option in a cell, by its name. */
function valueIn(name: string, value: unknown, folder: string, outputDir: string): RowValues {
  const option: Option = rowOptions[name as keyof typeof rowOptions];
  if (placeholderOf(option) === undefined) return { [name]: switchIn(value) };
  if ([value].flat().some((one) => Number.isInteger(one) && !Number.isSafeInteger(one)))
    throw new UsageError('it has more digits than JSON keeps of a number. Put it into quotes.');
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const isSwitch = typeof value === 'boolean' && !option.choices;
  if (isSwitch || (isObject && !option.text))
    throw new UsageError(`it has to be ${placeholderOf(option)} but is ${quoted(value)}.`);
  const between = option.files ? /\s*;\s*/ : /[\s;]+/; // names of files may have spaces
  const listed = typeof value === 'string' && option.many ? value.trim().split(between) : value;
  const texts = textsOf(listed, option).map((text) => {
    if (name === 'dump') return resolve(outputDir, text);
    const file = name === 'lora' ? askedLora(text).file : text;
    return option.files && existsSync(below(folder, file)) ? below(folder, text) : text;
  });
  if (texts.length === 0) return {};
  const table = pick(rowOptions, name as keyof typeof rowOptions);
  return readValues(argumentsOf(new Map([[name, texts]])), table, 'generate') as RowValues;
}

const [yes, no] = [
  ['true', 'yes', '1'],
  ['false', 'no', '0'],
];

function switchIn(value: unknown): boolean {
  const text = `${value}`.trim().toLowerCase();
  if (yes.includes(text)) return true;
  if (no.includes(text)) return false;
  throw new UsageError(`it has to be yes or no but is ${quoted(value)}.`);
}

async function itemOf(
  { picture, output: named, folder, values: ofRow, from }: Wanted,
  common: ManyValues,
  given: Given,
  outputDir: string,
): Promise<Item> {
  const { outputDir: _, ...ofAll } = common as Values<typeof manyOptions>;
  const passed = { ...ofAll, profile: false, ...ofRow } as Values<typeof generateOptions>;
  const isGiven = (name: string) => name in ofRow || given(name);
  const { values } = await chosenValues(passed, [picture], isGiven);
  const format = values.outputType === 'latent' ? 'safetensors' : values.format;
  const name =
    named ??
    join(
      folder,
      defaultOutput(picture, format, () => false),
    );
  const path = resolve(outputDir, name);
  const output = /[/\\]$/.test(name) ? `${path}/` : path;
  const command = generateCommand({ ...values, output }, [picture]);
  const isFile = !isAddress(picture) || /^\s*file:/i.test(picture);
  const found = isFile ? await existingPath(resolve(localPath(picture))) : picture;
  return { picture: found, output, command, from };
}

/** @throws UsageError if two outputs are one file, or an output is a picture. */
async function checkOutputs(items: Item[]): Promise<void> {
  const owners = new Map<string, Item>();
  const pictures = await Promise.all(
    items.map(({ picture }) => (isAddress(picture) ? undefined : fileKey(picture))),
  );
  for (const [i, key] of pictures.entries()) if (key !== undefined) owners.set(key, items[i]);
  for (const item of items) {
    const { command, from } = item;
    const count = command.numVideosPerPrompt;
    for (const path of [...outputPaths(command, count), command.dump ?? []].flat()) {
      const key = await fileKey(path);
      const other = key && owners.get(key);
      if (other && pictures.includes(key))
        throw new UsageError(
          `${from}: the output "${path}" would replace the picture ${other.picture}. Use another ` +
            'folder.',
        );
      if (other)
        throw new UsageError(
          `${other.from} and ${from} have one output, "${path}". Rename one, or name both outputs ` +
            'in a manifest.',
        );
      if (key) owners.set(key, item);
    }
  }
}
