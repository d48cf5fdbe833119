/** What an output tells of how it was made. */
import type { CheckpointIdentity } from '../../checkpoints/index.ts';
import { snakeCase } from '../../text/cases.ts';
import { version } from '../version.ts';
import type { GenerateCommand } from './options.ts';

/** Everything needed to make the same video again, as it is stored beside or inside each output. */
export interface StoredSettings
  extends Omit<
    GenerateCommand,
    | 'output'
    | 'dump'
    | 'token'
    | 'cacheDir'
    | 'localFilesOnly'
    | 'memory'
    | 'json'
    | 'profile'
    | 'quiet'
  > {
  height: number;
  width: number;
  numFrames: number;
  decodeChunkSize: number;
  /** The backend that was used. */
  backend: GenerateCommand['backend'];
  /**
   * Which checkpoint it was, whatever path it had. Left out if its files could not be read again.
   */
  checkpoint?: CheckpointIdentity;
  /** Version of this package. */
  version: string;
}

/**
 * Fills in what the run has shown: the checkpoint and its frames, the seeds drawn, the backend, and
 * what was chosen by the memory there is.
 */
export function storedSettings(
  command: GenerateCommand,
  known: Pick<
    StoredSettings,
    | 'backend'
    | 'checkpoint'
    | 'offload'
    | 'height'
    | 'width'
    | 'numFrames'
    | 'decodeChunkSize'
    | 'seeds'
  >,
): StoredSettings {
  const { output, dump, token, cacheDir, localFilesOnly, memory, json, profile, quiet, ...asked } =
    command;
  return { ...asked, ...known, version };
}

/**
 * The arguments of the call by diffusers' names, for files of stage tensors, which diffusers' own
 * can be compared with. `seeds` and `images` stand for its generators and pictures.
 */
export function diffusersArguments(settings: StoredSettings): Record<string, unknown> {
  const {
    version,
    checkpoint,
    model,
    config,
    variant,
    revision,
    backend,
    threads,
    dtype,
    tf32,
    offload,
    weightDtype,
    formulation,
    forwardChunking,
    outputType,
    ...call
  } = settings;
  return Object.fromEntries(Object.entries(call).map(([name, value]) => [snakeCase(name), value]));
}

/** The settings for files whose metadata are texts by name: numbers and lists as JSON. */
export function asTexts(settings: StoredSettings): Record<string, string> {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    given.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
