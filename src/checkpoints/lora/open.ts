/** Opens LoRA files on the disk. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { readJson } from '../configs/jsonFile.ts';
import { openSafetensors } from '../safetensors/file.ts';
import type { SafetensorsFile } from '../safetensors/reader.ts';

/** The config that peft writes beside the weights of an adapter. */
export const PEFT_CONFIG = 'adapter_config.json';

/** The weights that such a config is for. */
export const PEFT_WEIGHTS = 'adapter_model.safetensors';

/** An open LoRA file. */
export interface OpenLora {
  /** Its tensors. */
  source: SafetensorsFile;
  /** Names it in messages. */
  label: string;
  /** The config that peft wrote beside it. */
  config?: Record<string, unknown>;
}

/** Opens a `.safetensors` file, and peft's config beside it. @throws CheckpointError if it is none. */
export async function openLora(path: string): Promise<OpenLora> {
  const found = await existingPath(path);
  const beside = join(dirname(found), PEFT_CONFIG);
  const isOfPeft = basename(found) === PEFT_WEIGHTS && existsSync(beside);
  const config = isOfPeft ? await readJson(beside) : undefined;
  return { source: await openSafetensors(found), label: path, config };
}
