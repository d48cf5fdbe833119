/** LoRA files and the UNet of a checkpoint that they are for, whose weights are not read. */

import {
  type LoraFile,
  type LoraLayers,
  type LoraRanks,
  loraLayers,
  ranksIn,
} from '../../adapters/core.ts';
import { contentsOf, readAlpha, shapesIn } from '../../adapters/loraFile.ts';
import { metadataOf } from '../../adapters/saveLora.ts';
import { declaredModel } from '../../checkpoints/components.ts';
import {
  type OpenOptions,
  openCheckpoint,
  savedDtypes,
  writeSafetensors,
} from '../../checkpoints/index.ts';
import { openLora } from '../../checkpoints/lora/open.ts';
import type { UNetSpatioTemporalConditionModel } from '../../models/index.ts';
import { originalNames } from './names.ts';

/** A checkpoint, and LoRA files for it. */
export interface LorasFor {
  /** Its path. */
  model: string;
  opening: OpenOptions;
  /** The paths of the files. */
  loras: readonly string[];
}

/** What is found of open files with the layers of a UNet, and other names of these. */
type Use<T> = (
  files: LoraFile[],
  layers: LoraLayers,
  othersOf: (path: string) => string[],
) => Promise<T> | T;

async function withFiles<T>({ model, opening, loras }: LorasFor, use: Use<T>): Promise<T> {
  await using checkpoint = await openCheckpoint(model, opening);
  const unet = declaredModel(checkpoint, 'unet') as UNetSpatioTemporalConditionModel;
  const files: Awaited<ReturnType<typeof openLora>>[] = [];
  try {
    for (const lora of loras) files.push(await openLora(lora));
    return await use(files, loraLayers('loadLora', unet), originalNames(unet.config));
  } finally {
    for (const { source } of files) await source.close();
    unet.dispose();
  }
}

/**
 * The sum of the ranks of all files on each layer of the UNet, by its path; undefined without files.
 * @throws CheckpointError if one is no LoRA for it.
 */
export const plannedRanks = async (those: LorasFor): Promise<LoraRanks | undefined> =>
  those.loras.length === 0 ? undefined : withFiles(those, ranksIn);

/**
 * Writes each file anew, in float32 and the names of peft, with which peft loads it.
 * @param target The path of the copy of a file, by its number.
 * @throws CheckpointError if one is no LoRA for the UNet, or a copy cannot be written.
 */
export async function copyForPeft(
  those: LorasFor,
  target: (number: number) => string,
): Promise<void> {
  await withFiles(those, async (files, layers, othersOf) => {
    for (const [i, file] of files.entries()) {
      const { layers: contents } = contentsOf(file, layers, othersOf);
      const settings = [];
      const tensors = [];
      for (const [path, parts] of contents) {
        const { rank } = parts;
        settings.push({ path, rank, alpha: (await readAlpha(file, path, parts)) ?? rank });
        const shapes = shapesIn(layers.get(path)!, rank);
        for (const [part, name] of [
          ['down', 'lora_A'],
          ['up', 'lora_B'],
        ] as const) {
          const data = () => file.source.read(parts[part]);
          tensors.push([
            `${path}.${name}.weight`,
            { dtype: savedDtypes.float32, shape: shapes[part], data },
          ] as const);
        }
      }
      await writeSafetensors(target(i), Object.fromEntries(tensors), metadataOf(settings));
    }
  });
}
