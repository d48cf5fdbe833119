/** Replays the call of a reference and compares every stage with what diffusers computed. */
import * as tf from '@tensorflow/tfjs';
import { type AnyBlock, SpatioTemporalResBlock } from '../layers/index.ts';
import type { FloatArray } from '../media/image.ts';
import { channelsFirst } from '../pipelines/axes.ts';
import { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import type { Progress } from '../pipelines/types.ts';
import { Generator } from '../random/generator.ts';
import { compareTensors, type TensorComparison } from './compareTensors.ts';
import type { Reference } from './reference.ts';

/** What each stage may be off by, as relative L2 distance unless said otherwise. */
export const stageTolerances = {
  /** Random numbers, which are the same but for the last bit. */
  random: 1e-6,
  /** A block that is fed with what the reference has before it. */
  layer: 1e-5,
  /** What one model puts out, and its blocks. */
  model: 3e-5,
  /** Steps and frames, which gather what all before them are off by. */
  call: 1e-4,
  /** The least share of 8-bit values of frames that have to be equal. */
  equalBytes: 0.995,
  /** What the other 8-bit values may be off by. */
  largestByteDifference: 1,
};

/** How one stage compares. */
export interface StageResult {
  /** Its name in the reference. */
  stage: string;
  /** The relative L2 distance that is allowed. */
  tolerance: number;
  /** Whether it is kept, for frames also with 8 bits. */
  within: boolean;
  /** The measures, if it could be compared. */
  comparison?: TensorComparison;
  /** Why not, otherwise. */
  problem?: string;
}

/** Options of `verifyReference`. */
export interface VerifyOptions {
  /**
   * `own` (default): each stage works on what the one before it gave, as in a normal call.
   * `reference`: on what the reference has of it, so that a stage shows its own error alone.
   */
  stageInputs?: 'own' | 'reference';
  /** As of `generate`. */
  signal?: AbortSignal;
  /** As of `generate`. */
  onProgress?: (progress: Progress) => void;
}

/**
 * Replays the call of a reference from the same random draws, and compares each stage and block in
 * the order in which they are computed.
 * @returns One result for everything that the reference holds.
 * @throws What `generate` throws.
 */
export async function verifyReference(
  pipe: SamplingPipeline,
  reference: Reference,
  { stageInputs = 'own', signal, onProgress }: VerifyOptions = {},
): Promise<StageResult[]> {
  const teacherForced = stageInputs === 'reference';
  const results: StageResult[] = [];
  const compare = async (stage: string, ours: FloatArray) => {
    if (reference.names.includes(stage))
      results.push(compareStage(stage, ours, await reference.read(stage), teacherForced));
  };
  const blocks = await BlockWatch.start(pipe, reference, teacherForced);
  const generators = reference.seeds.map((seed) => new Generator(seed));
  try {
    const replay = teacherForced ? new ReferenceFedPipeline(pipe.components, reference) : pipe;
    await replay.generate(reference.pictures, {
      ...reference.call,
      generator: generators.length === 1 ? generators[0] : generators,
      outputType: 'array',
      // diffusers has both halves of guidance in one batch, and so have its blocks.
      guidanceTogether: blocks.paths.length > 0 ? true : undefined,
      onBlock: blocks.paths.length > 0 ? () => {} : undefined,
      onStage: async (stage, value) => {
        for (const [name, output] of await blocks.take(stage)) await compare(name, output);
        await compare(stage, value);
      },
      callbackOnStepEnd: teacherForced
        ? async (_pipe, step) => ({ latents: await stageTensor(reference, `latents_step_${step}`) })
        : undefined,
      signal,
      onProgress,
    });
  } finally {
    blocks.stop();
  }
  const seen = new Set(results.map(({ stage }) => stage));
  const missing = reference.names.filter((name) => !seen.has(name));
  return [
    ...results,
    ...missing.map((stage) => ({
      stage,
      tolerance: toleranceOf(stage, teacherForced),
      within: false,
      problem: 'never computed',
    })),
  ];
}

function toleranceOf(stage: string, fed: boolean): number {
  if (['image_noise', 'added_time_ids', 'initial_latents'].includes(stage))
    return stageTolerances.random;
  if (stage.startsWith('block.')) return fed ? stageTolerances.layer : stageTolerances.model;
  return stage === 'image_embeddings' || stage === 'image_latents'
    ? stageTolerances.model
    : stageTolerances.call;
}

function compareStage(
  stage: string,
  ours: FloatArray,
  expected: FloatArray,
  fed: boolean,
): StageResult {
  const tolerance = toleranceOf(stage, fed);
  if (ours.shape.join() !== expected.shape.join()) {
    return {
      stage,
      tolerance,
      within: false,
      problem: `has the shape [${ours.shape}] instead of [${expected.shape}]`,
    };
  }
  const comparison = compareTensors(ours, expected);
  const { equalBytes, largestByteDifference } = comparison;
  const bytes =
    equalBytes >= stageTolerances.equalBytes &&
    largestByteDifference <= stageTolerances.largestByteDifference;
  return {
    stage,
    tolerance,
    within: comparison.relativeL2 <= tolerance && (stage !== 'frames' || bytes),
    comparison,
  };
}

/**
 * A stage of a reference channels-last: `[..., C, H, W]` becomes `[..., H, W, C]`; lower ranks
 * stay.
 */
async function stageTensor(reference: Reference, name: string): Promise<tf.Tensor> {
  const { data, shape } = await reference.read(name);
  return tf.tidy(() => {
    const tensor = tf.tensor(data, shape);
    if (shape.length < 4) return tensor;
    const outer = shape.slice(0, -3).map((_, axis) => axis);
    return tf.transpose(tensor, [...outer, ...[1, 2, 0].map((axis) => outer.length + axis)]);
  });
}

/** A pipeline whose encoders do their work and then hand out the reference's results. */
class ReferenceFedPipeline extends SamplingPipeline {
  private readonly reference: Reference;

  constructor(components: SamplingPipeline['components'], reference: Reference) {
    super(components);
    this.reference = reference;
  }
  private async instead(own: tf.Tensor, stage: string): Promise<tf.Tensor> {
    own.dispose();
    return stageTensor(this.reference, stage);
  }
  protected override async encodeImage(
    ...call: Parameters<SamplingPipeline['encodeImage']>
  ): Promise<tf.Tensor> {
    return this.instead(await super.encodeImage(...call), 'image_embeddings');
  }
  protected override async encodePicture(
    ...call: Parameters<SamplingPipeline['encodePicture']>
  ): Promise<tf.Tensor> {
    return this.instead(await super.encodePicture(...call), 'image_latents');
  }
}

/**
 * Keeps what the blocks of a reference put out, the first time that they run, those of the UNet in
 * the reference's step.
 */
class BlockWatch {
  /** Names of the blocks in the reference. */
  readonly paths: string[];
  private readonly undo: (() => void)[] = [];
  private readonly taken = new Map<string, tf.Tensor>();
  private readonly given = new Map<string, tf.Tensor>();
  private step = 0;

  private constructor(paths: string[]) {
    this.paths = paths;
  }

  static async start(
    pipe: SamplingPipeline,
    reference: Reference,
    fed: boolean,
  ): Promise<BlockWatch> {
    const watch = new BlockWatch(reference.names.filter((name) => name.startsWith('block.')));
    const models: Record<string, AnyBlock> = { unet: pipe.unet, vae: pipe.vae };
    for (const name of watch.paths) {
      const [, model, ...path] = name.split('.');
      const block = blockAt(models[model!], path.join('.'));
      if (!block) continue;
      if (fed) watch.given.set(name, await stageTensor(reference, name));
      const isDue = () =>
        !watch.seen.has(name) && (model !== 'unet' || watch.step === reference.blockStep);
      watch.undo.push(
        interceptOutput(block, (output) => {
          if (!isDue()) return output;
          watch.seen.add(name);
          watch.taken.set(name, tf.keep(tf.clone(output)));
          const instead = watch.given.get(name);
          return instead && instead.size === output.size
            ? tf.tidy(() => tf.reshape(instead, output.shape))
            : output;
        }),
      );
    }
    return watch;
  }

  private readonly seen = new Set<string>();

  /** The outputs that came before `stage`, in the order in which they were computed. */
  async take(stage: string): Promise<[string, FloatArray][]> {
    const outputs: [string, FloatArray][] = [];
    for (const [name, tensor] of this.taken) outputs.push([name, await channelsFirst(tensor)]);
    tf.dispose([...this.taken.values()]);
    this.taken.clear();
    if (stage.startsWith('latents_step_')) this.step = Number(stage.split('_').at(-1)) + 1;
    return outputs;
  }

  stop(): void {
    for (const undo of this.undo) undo();
    tf.dispose([...this.taken.values(), ...this.given.values()]);
  }
}

/**
 * Hands what a block puts out to `look` and takes what that gives instead, until the returned
 * function is called.
 */
function interceptOutput(block: AnyBlock, look: (output: tf.Tensor) => tf.Tensor): () => void {
  const call = block.call.bind(block);
  block.call = (inputs, kwargs) => look(call(inputs, kwargs) as tf.Tensor);
  if (!(block instanceof SpatioTemporalResBlock)) {
    return () => {
      delete (block as Partial<AnyBlock>).call; // the class's own is there again
    };
  }
  // The decoder runs this one in two stages, without `call`.
  const stages = block.parts.bind(block);
  block.parts = (kwargs) => {
    const all = stages(kwargs);
    const last = all.pop()!;
    return [...all, (h) => look(last(h))];
  };
  return () => {
    delete (block as Partial<SpatioTemporalResBlock>).call;
    delete (block as Partial<SpatioTemporalResBlock>).parts;
  };
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
