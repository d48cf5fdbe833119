/**
 * The small checkpoint that comes with the package, and whether a call is near to what a checkpoint
 * was trained for.
 */
import { join } from 'node:path';
import { camelCaseConfig, type OpenOptions, openCheckpoint } from '../checkpoints/index.ts';
import { packageFolder } from './version.ts';

/** The folder of the checkpoint that is taken if none is named. */
export const packagedModel = join(packageFolder, 'weights', 'tiny');

/** What `svd generate` says when it takes that one. */
export const packagedNote =
  'without --model, the small model of this package makes the video. For the official one accept its licence on the hub, then give --model stabilityai/stable-video-diffusion-img2vid-xt --variant fp16';

/** What a checkpoint was trained for, as far as its configuration tells. */
export interface TrainedFor {
  /** Side of a square with as many pixels as the training pictures. */
  side?: number;
  numFrames?: number;
}

/** Reads what the checkpoint `model`, a folder or an original file, was trained for. */
export async function trainedFor(model: string, options: OpenOptions = {}): Promise<TrainedFor> {
  const files = await openCheckpoint(model, options);
  const { sampleSize, numFrames } = camelCaseConfig(files.config('unet')) as {
    sampleSize?: number | number[];
    numFrames?: number;
  };
  const { blockOutChannels = [] } = camelCaseConfig(files.config('vae')) as {
    blockOutChannels?: number[];
  };
  await files.close();
  const side = Math.sqrt(
    [sampleSize ?? 0, sampleSize ?? 0]
      .flat()
      .slice(0, 2)
      .reduce((a, b) => a * b),
  ); // of latents
  return { side: side > 0 ? side * 2 ** (blockOutChannels.length - 1) : undefined, numFrames };
}

/**
 * One sentence if a video has less than half or more than twice the pixels or frames that the
 * checkpoint was trained for.
 */
export function unlikeTraining(
  { side, numFrames }: TrainedFor,
  video: { height: number; width: number; numFrames: number },
): string | undefined {
  const far = (ratio: number) => ratio < 0.5 || ratio > 2;
  const size = side !== undefined && far((video.height * video.width) / side ** 2);
  const frames = numFrames !== undefined && far(video.numFrames / numFrames);
  if (!size && !frames) return undefined;
  const trained = [
    numFrames && `${numFrames} frames`,
    side && `about as many pixels as ${Math.round(side)}x${Math.round(side)}`,
  ]
    .filter(Boolean)
    .join(' of ');
  return `the checkpoint was trained for ${trained}; ${video.numFrames} frames of ${video.height}x${video.width} may look worse`;
}
