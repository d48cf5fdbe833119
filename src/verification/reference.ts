/**
 * Reference files, which `svd reference` writes by `dump_reference.py` in this folder: the tensors
 * that diffusers computes at every stage of a call.
 */
import { CheckpointError, camelCaseConfig, type SafetensorsFile } from '../checkpoints/browser.ts';
import { jsonValue } from '../checkpoints/configs/json.ts';
import type { FloatArray, RgbImage } from '../media/image.ts';
import type { GenerateOptions } from '../pipelines/types.ts';
import { byNumber } from '../text/inOrder.ts';

/** The arguments of a reference's call. */
export interface ReferenceCall
  extends Required<
    Pick<
      GenerateOptions,
      | 'height'
      | 'width'
      | 'numFrames'
      | 'numInferenceSteps'
      | 'minGuidanceScale'
      | 'maxGuidanceScale'
      | 'fps'
      | 'motionBucketId'
      | 'noiseAugStrength'
      | 'decodeChunkSize'
      | 'numVideosPerPrompt'
    >
  > {
  /** The noise levels, if the call sets them. */
  sigmas?: number[];
}

/** A LoRA that was on the UNet of a reference. */
export interface ReferenceLora {
  /** The name of its file. */
  file: string;
  /** The SHA-256 of that. */
  sha256: string;
  /** The factor of what it adds. */
  scale: number;
}

/** An open reference file. */
export interface Reference {
  /** The call. */
  call: ReferenceCall;
  /** One generator's seed, or those of a list of generators. */
  seeds: (number | bigint)[];
  /** The checkpoint that it was made from. */
  checkpoint: {
    /** Its folder, or its name on the hub. */
    id: string;
    /** The variant of its weight files, such as `fp16`. */
    variant: string | null;
    /** SHA-256 of each file that the pipeline reads. */
    files: Record<string, string>;
  };
  /** The config of the scheduler that it was made with; null for that of the checkpoint. */
  scheduler: Record<string, unknown> | null;
  /** The LoRA that were on the UNet. */
  loras: readonly ReferenceLora[];
  /** Versions of the Python libraries that made it. */
  versions: Record<string, string>;
  /** Names of the stages and, as `block.unet.PATH` and `block.vae.PATH`, of the blocks. */
  names: string[];
  /** The sampling step of the blocks of the UNet, if there are any. */
  blockStep: number | null;
  /** The pictures of the call. */
  pictures: RgbImage[];
  /** Reads a stage or a block, in diffusers' axis order. */
  read(name: string): Promise<FloatArray>;
  /**
   * Reads a stage or a block of the VAE's encoder as float64 has it, or undefined if it is not in
   * the reference. `fromReference`: of a block, what it makes of the reference's inputs.
   */
  readFloat64(name: string, fromReference: boolean): Promise<FloatArray | undefined>;
}

/**
 * Reads everything of a reference except its tensors.
 * @param label The name of the file in messages.
 * @throws CheckpointError when the file is not a reference, or when its tensors do not have the
 * shapes that follow from its arguments.
 */
export async function readReference(file: SafetensorsFile, label: string): Promise<Reference> {
  const parsed = (key: string) => jsonValue(file.metadata[key] ?? 'null', `${label}: ${key}`);
  const args = parsed('args') as Record<string, unknown> | null;
  const checkpoint = parsed('checkpoint') as Reference['checkpoint'] | null;
  const sorted = file.names().sort(byNumber);
  const inputs = sorted.filter((name) => name.startsWith('input.image.'));
  if (!args || !checkpoint?.files || inputs.length === 0) {
    throw new CheckpointError(`${label} is not a reference. \`svd reference\` writes one.`);
  }
  const { images: _, seeds, ...rest } = camelCaseConfig(args);
  const call = rest as unknown as ReferenceCall;
  const names = sorted.filter((name) => !/^(input|float64)\./.test(name));
  for (const [name, expected] of Object.entries(shapesOf(call, inputs.length))) {
    const { shape } = file.info(name);
    if (
      shape.length === expected.length &&
      expected.every((length, axis) => length === null || length === shape[axis])
    )
      continue;
    const axes = expected.map((length) => length ?? '?');
    throw new CheckpointError(
      `${label}: ${name} has the shape [${shape}] but its arguments mean [${axes}]. Make the ` +
        'reference again.',
    );
  }
  const pictures = await Promise.all(
    inputs.map(async (name): Promise<RgbImage> => {
      const [height, width] = file.info(name).shape as [number, number];
      return { height, width, data: await file.readRaw(name) };
    }),
  );
  const read = async (name: string) => ({
    data: await file.read(name),
    shape: file.info(name).shape,
  });
  return {
    call,
    seeds: (seeds as (number | string)[]).map((seed) => BigInt(seed)),
    checkpoint,
    scheduler: parsed('scheduler') as Reference['scheduler'],
    loras: (parsed('loras') ?? []) as ReferenceLora[],
    versions: (parsed('versions') ?? {}) as Reference['versions'],
    names,
    blockStep: parsed('blocks') as number | null,
    pictures,
    read,
    async readFloat64(name, fromReference) {
      const inputs = fromReference && name.startsWith('block.') ? 'float64.fed' : 'float64';
      const exact = `${inputs}.${name}`;
      return file.names().includes(exact) ? read(exact) : undefined;
    },
  };
}

/** The shapes of the stages of a call, as far as they follow from its arguments. */
function shapesOf(
  { numVideosPerPrompt, numFrames, height, width }: ReferenceCall,
  pictures: number,
) {
  const videos = pictures * numVideosPerPrompt;
  return {
    image_noise: [pictures, 3, null, null],
    added_time_ids: [videos, 3],
    initial_latents: [videos, numFrames, null, null, null],
    frames: [videos, numFrames, height, width, 3],
  };
}

/**
 * Compares the hashes of a checkpoint with those of the checkpoint behind a reference.
 * @throws CheckpointError when weights differ. It names their files.
 */
export function checkSameCheckpoint(reference: Reference, files: Record<string, string>): void {
  const weights = (all: Record<string, string>) =>
    Object.entries(all).filter(([name]) => name.endsWith('.safetensors'));
  const isOfUnet = (name: string) => name.startsWith('unet/');
  // whose files may have other names, where it is not the checkpoint's own
  const unet = weights(files).filter(([name]) => isOfUnet(name));
  const hasUnet = (wanted: string) => unet.some(([, hash]) => hash === wanted);
  const others = weights(reference.checkpoint.files).filter(([name, hash]) =>
    isOfUnet(name) ? !hasUnet(hash) : files[name] !== hash,
  );
  if (others.length === 0) return;
  const isThere = (name: string) => (isOfUnet(name) ? unet.length > 0 : files[name] !== undefined);
  const listed = others
    .map(([name]) => `${name} ${isThere(name) ? 'differs' : 'is missing'}`)
    .join(', ');
  throw new CheckpointError(
    `The reference was made from another checkpoint, ${reference.checkpoint.id}: ${listed}. ` +
      'Make one from this checkpoint.',
  );
}

/**
 * Compares the LoRA of a call with those of a reference.
 * @throws CheckpointError when they are others. It names both.
 */
export function checkSameLoras(reference: Reference, loras: readonly ReferenceLora[]): void {
  const identity = (all: readonly ReferenceLora[]) =>
    JSON.stringify(all.map(({ sha256, scale }) => [sha256, scale]));
  if (identity(reference.loras) === identity(loras)) return;
  const named = (all: readonly ReferenceLora[]) =>
    all.length === 0
      ? 'without a LoRA'
      : `with ${all.map(({ file, scale }) => `--lora ${file}=${scale}`).join(' ')}`;
  throw new CheckpointError(
    `The reference was made ${named(reference.loras)}, but the call is ${named(loras)}: pass the ` +
      'same files with the same scales.',
  );
}
