/** Sharded weights on the disk. */
import { dirname, join } from 'node:path';
import { readJson } from '../configs/jsonFile.ts';
import type { WeightSource } from '../weights/source.ts';
import { openSafetensors } from './file.ts';
import { shardedSource, weightMapOf } from './shardedSource.ts';

/**
 * Opens every shard that an index names. Tensors of the shards that the index lacks belong to it,
 * too, as in diffusers.
 * @throws CheckpointError if the index is malformed, shards are missing or broken, or lack tensors
 * of the index.
 */
export async function openSharded(indexPath: string): Promise<WeightSource> {
  return shardedSource(indexPath, await readJson(indexPath), (name) =>
    openSafetensors(join(dirname(indexPath), name)).catch(unlessMissing),
  );
}

function unlessMissing(error: Error): undefined {
  const { cause } = error;
  if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw error;
}

/** The shard's file name by tensor name. */
export const readIndex = async (path: string): Promise<Map<string, string>> =>
  weightMapOf(await readJson(path), path);
