/** JSON files of checkpoints on the disk. */
import { openBytes } from '../safetensors/file.ts';
import { type Json, jsonOf } from './json.ts';

/**
 * Reads a file on the disk that holds one JSON object.
 * @throws CheckpointError if there is no such file, or it holds something else.
 */
export const readJson = async (path: string): Promise<Json> => jsonOf(await openBytes(path));
