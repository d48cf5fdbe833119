/** LoRA on the UNet of a pipeline. */
import {
  fuseLoras,
  type LoraFile,
  type LoraLayers,
  type LoraOptions,
  loraLayers,
  lorasIn,
  putLora,
  removeLoras,
  setScales,
} from '../../adapters/core.ts';
import { snakeCaseConfig } from '../../checkpoints/configs/keys.ts';
import { originalLayout, originalPlaces } from '../../checkpoints/original/keys.ts';
import { SamplingPipeline } from '../stableVideoDiffusion.ts';

/** A pipeline whose UNet takes LoRA. */
export class LoraPipeline extends SamplingPipeline {
  private get loraLayers(): LoraLayers {
    return loraLayers('loadLora', this.unet);
  }

  /** The LoRA that are loaded: their scales by their names. */
  get loras(): Record<string, number> {
    return lorasIn(this.loraLayers);
  }

  /** Puts an open LoRA on the UNet. */
  protected putLora(file: LoraFile, options: LoraOptions): Promise<string> {
    const layout = originalLayout(snakeCaseConfig(this.unet.config), {});
    const inOriginal = (path: string) =>
      originalPlaces('unet', `${path}.weight`, layout).map(({ name }) =>
        name.replace(/^model\.diffusion_model\.|\.weight$/g, ''),
      );
    return putLora(file, this.loraLayers, options, inOriginal);
  }

  /**
   * Sets the scales of LoRA by their names; the others stay. Waits for earlier calls, but runs at
   * once within a callback.
   * @throws Error if there is none of a name, or a scale is no finite number.
   */
  setLoraScales(scales: Record<string, number>): Promise<void> {
    return this.change(() => setScales(this.loraLayers, scales));
  }

  /**
   * Frees the LoRA of a name, or all of them. The weights are as they were, to the bit. Waits for
   * earlier calls, but runs at once within a callback.
   * @throws Error if there is none of that name.
   */
  unloadLora(name?: string): Promise<void> {
    return this.change(() => removeLoras(this.loraLayers, name));
  }

  /**
   * Adds the LoRA to the weights, so that calls are as fast as without them. The weights from before
   * stay in memory, so that another scale or `unloadLora` undoes it. Waits for earlier calls, but
   * runs at once within a callback.
   * @throws Error if weights are offloaded, as they are read anew for each call.
   */
  fuseLora(): Promise<void> {
    return this.change(() => {
      const { offload } = this.components;
      if (offload)
        throw new Error(
          `LoRA cannot be fused with \`offload\` ${offload.mode}, which reads the weights anew for ` +
            "each call. They have the same effect as they are; or use `offload: 'none'`.",
        );
      fuseLoras(this.loraLayers);
    });
  }

  private change(work: () => void): Promise<void> {
    return this.inTurn(async () => work(), { withinCallback: true });
  }
}
