/** The names that the layers of a UNet have in LoRA files. */
import { snakeCaseConfig } from '../../checkpoints/configs/keys.ts';
import { originalLayout, originalPlaces } from '../../checkpoints/original/keys.ts';
import type { UNetSpatioTemporalConditionModel } from '../../models/index.ts';

/** A function that returns the names in original files of the layer at a path. */
export function originalNames(
  config: UNetSpatioTemporalConditionModel['config'],
): (path: string) => string[] {
  const layout = originalLayout(snakeCaseConfig(config), {});
  return (path) =>
    originalPlaces('unet', `${path}.weight`, layout).map(({ name }) =>
      name.replace(/^model\.diffusion_model\.|\.weight$/g, ''),
    );
}
