/**
 * The note on the small checkpoint that comes with the package, and whether a call is near to what
 * a checkpoint was trained for.
 */
import type { OpenOptions } from '../checkpoints/index.ts';
import { callDefaults } from '../pipelines/defaults.ts';
import { type SchedulerName, schedulerNameOf } from '../schedulers/names.ts';
import { atEnd } from './terminal/session.ts';

/** The note of `svd generate` when it uses that one. */
export const packagedNote =
  'without --model, the small model of this package makes the video. For the official one ' +
  'accept its licence on the hub, then pass --model ' +
  'stabilityai/stable-video-diffusion-img2vid-xt --variant fp16';

/** The size of video that a checkpoint was trained for, as far as its configuration says. */
export interface TrainedFor {
  /** Side of a square with as many pixels as the training pictures. */
  side?: number;
  numFrames?: number;
  /** Its own sampler, if that is one that has a name. */
  scheduler?: SchedulerName;
}

// TypeScript does not rewrite the names in functions with `await using`.
const checkpoints = () => import('../checkpoints/index.ts');
const schemas = () => import('../checkpoints/configs/schemas.ts');

/** Reads what the checkpoint `model`, a folder or an original file, was trained for. */
export async function trainedFor(model: string, options: OpenOptions = {}): Promise<TrainedFor> {
  const { openCheckpoint } = await checkpoints();
  const { modelConfig } = await schemas();
  const files = await openCheckpoint(model, options);
  await using _files = atEnd(() => files.close());
  const { sampleSize = 0, numFrames } = modelConfig('unet', files.config('unet')) as {
    sampleSize?: number | number[] | null;
    numFrames?: number;
  };
  const { blockOutChannels = [] } = modelConfig('vae', files.config('vae')) as {
    blockOutChannels?: number[];
  };
  const [height, width = height] = [sampleSize ?? 0].flat(); // of latents
  const side = Math.sqrt(height * width) * 2 ** (blockOutChannels.length - 1);
  return {
    side: side > 0 ? side : undefined,
    numFrames,
    scheduler: schedulerNameOf(files.config('scheduler')),
  };
}

/**
 * The size of video that a call has by default: diffusers' own where that has about as many pixels
 * as the training pictures, else the size of these.
 */
export function ownSize({ side }: TrainedFor): { height: number; width: number } {
  const { height, width } = callDefaults;
  return side === undefined || !far(height * width, side ** 2)
    ? { height, width }
    : { height: side, width: side };
}

/** Whether a number is less than half or more than twice of what it was in the training. */
const far = (now: number, trained?: number) =>
  trained !== undefined && (now / trained < 0.5 || now / trained > 2);

/**
 * One sentence if a video has less than half or more than twice the pixels or frames that the
 * checkpoint was trained for.
 */
export function unlikeTraining(
  { side, numFrames }: TrainedFor,
  video: { height: number; width: number; numFrames: number },
): string | undefined {
  const pixels = side && side ** 2;
  if (!far(video.height * video.width, pixels) && !far(video.numFrames, numFrames))
    return undefined;
  const size = side && `about as many pixels as ${Math.round(side)}x${Math.round(side)}`;
  const trained = [numFrames && `${numFrames} frames`, size].filter(Boolean).join(' of ');
  return (
    `the checkpoint was trained for ${trained}; ${video.numFrames} frames of ` +
    `${video.width}x${video.height} may look worse`
  );
}
