/** LoRA on the UNet of a pipeline. */
import {
  fuseLoras,
  hasUnfused,
  type LoraFile,
  type LoraLayers,
  type LoraOptions,
  loraLayers,
  lorasIn,
  putLora,
  removeLoras,
  setScales,
} from '../../adapters/core.ts';
import { joined } from '../../text/messages.ts';
import { SamplingPipeline } from '../stableVideoDiffusion.ts';
import { originalNames } from './names.ts';

/** A pipeline whose UNet takes LoRA. */
export class LoraPipeline extends SamplingPipeline {
  /** The layers of the UNet that take LoRA, by their paths. */
  protected get loraLayers(): LoraLayers {
    return loraLayers('loadLora', this.unet);
  }

  /** The LoRA that are loaded: their scales by their names. */
  get loras(): Record<string, number> {
    return lorasIn(this.loraLayers);
  }

  /** Puts a LoRA on the UNet in its turn, and closes its file. */
  protected async putLora(file: LoraFile, { scale, name }: LoraOptions): Promise<string> {
    const { config } = this.unet;
    try {
      return await this.inTurn(
        () => putLora(file, this.loraLayers, { scale, name }, originalNames(config)),
        { withinCallback: true },
      );
    } finally {
      await file.source.close();
    }
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

  /** Warns of LoRA that are not in the weights which a folder is written with. */
  protected warnOfLora(folder: string): void {
    if (!hasUnfused(this.loraLayers)) return;
    const names = joined(Object.keys(this.loras));
    console.warn(
      `${folder} gets the weights without the LoRA ${names}. Call \`fuseLora\` first to put them ` +
        'into the weights, or write them by `saveLora`.',
    );
  }

  private change(work: () => void): Promise<void> {
    return this.inTurn(async () => work(), { withinCallback: true });
  }
}
