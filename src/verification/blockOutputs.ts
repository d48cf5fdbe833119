/** The outputs of blocks while a reference is replayed. */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyBlock } from '../layers/index.ts';
import type { FloatArray } from '../media/image.ts';
import { channelsFirst } from '../pipelines/sampling/axes.ts';
import type { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import type { Reference } from './reference.ts';

/**
 * Keeps the output of each block that a reference names from the block's first run, which for the
 * UNet is the one in the reference's step.
 */
export class BlockOutputs {
  /** Names of the blocks in the reference. */
  readonly names: string[];
  private readonly watched: AnyBlock[] = [];
  private readonly seen = new Set<string>();
  private readonly outputs = new Map<string, tf.Tensor>();
  private readonly substitutes: tf.Tensor[] = [];
  private step = 0;

  private constructor(names: string[]) {
    this.names = names;
  }

  /**
   * Watches the blocks of `pipe` until `stop`. `teacherForced` continues each call with the
   * reference's output of the block instead of its own.
   */
  static async start(
    pipe: SamplingPipeline,
    reference: Reference,
    teacherForced: boolean,
  ): Promise<BlockOutputs> {
    const names = reference.names.filter((name) => name.startsWith('block.'));
    const outputs = new BlockOutputs(names);
    const models: Record<string, AnyBlock> = { unet: pipe.unet, vae: pipe.vae };
    for (const name of names) {
      const [, model, ...path] = name.split('.');
      const block = blockAt(models[model!], path.join('.'));
      if (!block) continue;
      const substitute = teacherForced ? await stageTensor(reference, name) : undefined;
      const isDue = () => model !== 'unet' || outputs.step === reference.blockStep;
      outputs.watch(name, block, isDue, substitute);
    }
    return outputs;
  }

  private watch(
    name: string,
    block: AnyBlock,
    isDue: () => boolean,
    substitute: tf.Tensor | undefined,
  ): void {
    this.watched.push(block);
    if (substitute) this.substitutes.push(substitute);
    block.onOutput = (output) => {
      if (this.seen.has(name) || !isDue()) return output;
      this.seen.add(name);
      this.outputs.set(name, tf.keep(tf.clone(output)));
      return substitute?.size === output.size ? tf.reshape(substitute, output.shape) : output;
    };
  }

  /** The outputs that came before `stage`, in the order in which they were computed. */
  async take(stage: string): Promise<[string, FloatArray][]> {
    const taken: [string, FloatArray][] = [];
    for (const [name, tensor] of this.outputs) taken.push([name, await channelsFirst(tensor)]);
    tf.dispose([...this.outputs.values()]);
    this.outputs.clear();
    if (stage.startsWith('latents_step_')) this.step = Number(stage.split('_').at(-1)) + 1;
    return taken;
  }

  /** Stops watching and frees what is kept. */
  stop(): void {
    for (const block of this.watched) block.onOutput = undefined;
    tf.dispose([...this.outputs.values(), ...this.substitutes]);
  }
}

/**
 * A stage of a reference channels-last: `[..., C, H, W]` becomes `[..., H, W, C]`; lower ranks
 * stay.
 */
export async function stageTensor(reference: Reference, name: string): Promise<tf.Tensor> {
  const { data, shape } = await reference.read(name);
  return tf.tidy(() => {
    const tensor = tf.tensor(data, shape);
    if (shape.length < 4) return tensor;
    const outer = shape.slice(0, -3).map((_, axis) => axis);
    return tf.transpose(tensor, [...outer, ...[1, 2, 0].map((axis) => outer.length + axis)]);
  });
}

/** The block at a path, whose parts' names may have dots themselves. */
function blockAt(block: AnyBlock | undefined, path: string): AnyBlock | undefined {
  if (!block || path === '') return block;
  for (const child of block.children) {
    if (path === child.name) return child;
    const found = path.startsWith(`${child.name}.`)
      ? blockAt(child, path.slice(child.name.length + 1))
      : undefined;
    if (found) return found;
  }
  return undefined;
}
