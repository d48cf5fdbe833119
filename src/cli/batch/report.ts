/** What has become of many pictures, as a table: report.csv. */
import { dirname, join, relative } from 'node:path';
import { textsOf } from '../generate/like.ts';
import { generateOptions, storedParts } from '../generate/options.ts';
import { flagOf, type Option } from '../terminal/options.ts';
import type { Seed } from '../terminal/values.ts';
import type { Item } from './items.ts';
import type { Sidecar } from './sidecar.ts';

/** What has become of a picture. */
export interface Outcome {
  item: Item;
  /** `complete`: an earlier run has made it. `open`: it is not made yet. */
  state: 'done' | 'complete' | 'failed' | 'open';
  /** The seeds that an earlier run has made it with. */
  seeds?: Seed[];
  /** What `inputsOf` has given when its picture was read. */
  inputs?: string;
  /** How it was made. */
  sidecar?: Sidecar;
  /** Why it has failed. */
  error?: string;
}

/** The options that make a video what it is, by the names of their columns. */
export const settingNames: [column: string, name: string, option: Option][] =
  Object.entries<Option>(generateOptions).flatMap(([name, option]) =>
    storedParts.some((part) => part === option.part) ? [[flagOf(name, option), name, option]] : [],
  );

/** The settings of a picture by the names of the options: as they were, or else as they are asked. */
export function settingsOf({ sidecar, item }: Outcome): [column: string, text: string][] {
  const settings: Record<string, unknown> = { ...(sidecar?.settings ?? item.command) };
  return settingNames.map(([column, name, option]) => {
    const value = settings[name];
    const isSwitch = typeof value === 'boolean' && !option.choices;
    return [column, isSwitch ? (value ? 'yes' : '') : textsOf(value, option).join(' ')];
  });
}

/** The paths of the videos of a picture, from a folder on. */
export const videosOf = ({ item, sidecar }: Outcome, folder: string): string[] =>
  sidecar
    ? sidecar.videos.map(({ file }) => relative(folder, join(dirname(item.output), file)))
    : [relative(folder, item.output)];

const own = ['picture', 'output', 'state', 'seconds', 'sha256', 'error'];
const columns = [...own, ...settingNames.map(([column]) => column)];

/** The first line of a report. */
export const reportHeader = columns.join(',');

/** A line for each video, with its settings. */
export function reportCsv(outcomes: Outcome[], folder: string): string {
  const lines = outcomes.flatMap((outcome) => {
    const { item, state, sidecar, error = '' } = outcome;
    const settings = settingsOf(outcome).map(([, text]) => text);
    return videosOf(outcome, folder).map((path, i) => {
      const made = [sidecar?.seconds.toFixed(1) ?? '', sidecar?.videos[i].sha256 ?? ''];
      return [item.command.images[0], path, state, ...made, error, ...settings];
    });
  });
  return csvTable([columns, ...lines]);
}

/** Rows of texts as a table of comma-separated values. */
export const csvTable = (rows: readonly (readonly string[])[]): string =>
  rows.map((cells) => `${cells.map(csvCell).join(',')}\n`).join('');

const csvCell = (text: string): string =>
  /[",;\r\n\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
