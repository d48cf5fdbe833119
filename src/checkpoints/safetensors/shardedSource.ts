/**
 * Weights spread over several safetensors files by an index (`*.safetensors.index.json`, written by
 * `save_pretrained`), on the disk and the web alike.
 */
import type { Json } from '../configs/json.ts';
import { isFileName } from '../diffusers/names.ts';
import { CheckpointError, listed, quoted } from '../errors.ts';
import { unknownTensor, type WeightSource } from '../weights/source.ts';
import type { SafetensorsFile } from './reader.ts';

/**
 * Opens every shard that an index names. Tensors of the shards that the index lacks belong to it,
 * too, as in diffusers.
 * @param index The content of the index at `path`.
 * @param open Opens a file beside it; undefined if there is none.
 * @throws CheckpointError if the index is malformed, shards are missing or broken, or lack tensors
 * of the index.
 */
export async function shardedSource(
  path: string,
  index: Json,
  open: (name: string) => Promise<SafetensorsFile | undefined>,
): Promise<WeightSource> {
  const shardOf = weightMapOf(index, path);
  const shards = new Map<string, SafetensorsFile>();
  const close = async () => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    await openShards(path, new Set(shardOf.values()), shards, open);
    checkShards(path, shardOf, shards);
    for (const [file, shard] of shards)
      for (const name of shard.names()) if (!shardOf.has(name)) shardOf.set(name, file);
  } catch (error) {
    await close();
    throw error;
  }
  const shard = (name: string) => shards.get(shardOf.get(name) ?? '') ?? unknownTensor(name, path);
  return {
    names: () =>
      [...shards].flatMap(([file, { names }]) =>
        names().filter((name) => shardOf.get(name) === file),
      ),
    info: (name) => shard(name).info(name),
    read: async (name) => shard(name).read(name),
    readBytes: async (name, target) => shard(name).readBytes(name, target),
    close,
  };
}

/** The shard's file name by tensor name. @throws CheckpointError if the index is malformed. */
export function weightMapOf({ weight_map: map }: Json, path: string): Map<string, string> {
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new CheckpointError(
      `${path} has no \`weight_map\` that says which file each tensor is in.`,
    );
  }
  const entries = Object.entries(map);
  const wrong = entries.find(([, file]) => !isFileName(file));
  if (wrong !== undefined) {
    throw new CheckpointError(
      `${path}: the file of ${quoted(wrong[0])} has to be a name in the same folder, but is ` +
        `${quoted(wrong[1])}.`,
    );
  }
  return new Map(entries as [string, string][]);
}

async function openShards(
  indexPath: string,
  files: Set<string>,
  shards: Map<string, SafetensorsFile>,
  open: (name: string) => Promise<SafetensorsFile | undefined>,
): Promise<void> {
  const missing: string[] = [];
  for (const file of files) {
    const shard = await open(file);
    if (shard) shards.set(file, shard);
    else missing.push(file);
  }
  if (missing.length > 0) {
    throw new CheckpointError(
      `${missing.length} of the ${files.size} files of ${indexPath} are missing: ` +
        `${listed(missing)}. Copy or download them.`,
    );
  }
}

function checkShards(
  indexPath: string,
  shardOf: Map<string, string>,
  shards: Map<string, SafetensorsFile>,
): void {
  const held = new Map([...shards].map(([file, shard]) => [file, new Set(shard.names())]));
  const missing = [...shardOf]
    .filter(([name, file]) => !held.get(file)!.has(name))
    .map(([name, file]) => `${name} in ${file}`);
  if (missing.length > 0)
    throw new CheckpointError(
      `The files of ${indexPath} don't fit it: ${missing.length} tensors are missing ` +
        `(${listed(missing)}). Copy or download them again.`,
    );
}
