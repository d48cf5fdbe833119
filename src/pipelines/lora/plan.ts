/** What LoRA files will put on the UNet of a checkpoint, found before any weights are read. */
import { type LoraRanks, loraLayers, ranksIn } from '../../adapters/core.ts';
import { declaredModel } from '../../checkpoints/components.ts';
import { type OpenOptions, openCheckpoint } from '../../checkpoints/index.ts';
import { openLora } from '../../checkpoints/lora/open.ts';
import type { UNetSpatioTemporalConditionModel } from '../../models/index.ts';
import { originalNames } from './names.ts';

/**
 * The sum of the ranks of LoRA files on each layer of the UNet of a checkpoint, by its path.
 * @param loras The paths of the files.
 * @throws CheckpointError if one is no LoRA for it.
 */
export async function plannedRanks(
  model: string,
  opening: OpenOptions,
  loras: readonly string[],
): Promise<LoraRanks | undefined> {
  if (loras.length === 0) return undefined;
  await using checkpoint = await openCheckpoint(model, opening);
  const unet = declaredModel(checkpoint, 'unet') as UNetSpatioTemporalConditionModel;
  const files = await Promise.all(loras.map(openLora));
  try {
    return ranksIn(files, loraLayers('plannedRanks', unet), originalNames(unet.config));
  } finally {
    for (const { source } of files) await source.close();
    unet.dispose();
  }
}
