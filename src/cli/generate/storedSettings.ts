/** The settings that an output stores of how it was made. */
import type { CheckpointIdentity } from '../../checkpoints/index.ts';
import { alignYourSteps } from '../../schedulers/sigmas.ts';
import { shownAddress } from '../../text/addresses.ts';
import { snakeCase } from '../../text/cases.ts';
import { partOf } from '../terminal/options.ts';
import type { Seed } from '../terminal/values.ts';
import { version } from '../version.ts';
import {
  type GenerateCommand,
  generateOptions,
  type StoredOptions,
  storedParts,
} from './options.ts';

/** Settings that are known only once the call has run. */
export interface KnownByRun {
  height: number;
  width: number;
  numFrames: number;
  decodeChunkSize: number;
  seeds: Seed[];
  /** The backend that was used. */
  backend: StoredOptions['backend'];
  /** The encoder that was used, of .mp4 and .webm. */
  encoder?: StoredOptions['encoder'];
  /** The version of ffmpeg and the name of its encoder. */
  encoderVersion?: string;
  /** The type that products were computed in. */
  dtype: StoredOptions['dtype'];
  /** By the memory there is, unless it was passed. */
  offload: StoredOptions['offload'];
  /**
   * Which checkpoint it was, whatever path it had. Left out if its files could not be read again.
   */
  checkpoint?: CheckpointIdentity;
}

/** Everything needed to make the same video again, as it is stored beside or inside each output. */
export type StoredSettings = StoredOptions &
  KnownByRun & {
    images: string[];
    /** Version of this package. */
    version: string;
  };

/** The settings to store of a call and its run. */
export function storedSettings(
  command: GenerateCommand,
  known: KnownByRun,
  options = generateOptions,
): StoredSettings {
  const asked = partOf(command, options, ...storedParts);
  return { images: command.images.map(shownAddress), ...asked, ...known, version };
}

/**
 * The arguments of the call by diffusers' names, for files of stage tensors, which diffusers' own
 * can be compared with. `seeds` and `images` stand for its generators and pictures.
 */
export function diffusersArguments(
  settings: StoredSettings,
  options = generateOptions,
): Record<string, unknown> {
  // diffusers has other output types, and takes noise levels alone.
  const { outputType, schedule, ...call } = partOf(settings, options, 'call');
  const levels = schedule && { sigmas: alignYourSteps(call.numInferenceSteps) };
  const named = Object.entries({ images: settings.images, ...call, ...levels });
  return Object.fromEntries(named.map(([name, value]) => [snakeCase(name), value]));
}

/** The settings for files whose metadata are texts by name: numbers and lists as JSON. */
export function asTexts(settings: StoredSettings): Record<string, string> {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    given.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
