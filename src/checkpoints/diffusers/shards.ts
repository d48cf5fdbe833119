/** The further files that a weight file names. */
import { basename } from 'node:path';
import { readJson } from '../configs/jsonFile.ts';
import { readIndex } from '../safetensors/sharded.ts';
import { manifestOf } from '../tfjs/manifest.ts';
import { TFJS } from './names.ts';

/**
 * The names of the shards beside an index file or a TensorFlow.js artifact. Other weight files name
 * none.
 */
export async function shardsOf(path: string): Promise<string[]> {
  if (basename(path) === TFJS)
    return manifestOf(await readJson(path), path).flatMap(({ paths }) => paths);
  return /\.json$/i.test(path) ? [...new Set((await readIndex(path)).values())] : [];
}
