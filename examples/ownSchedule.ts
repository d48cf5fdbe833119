/**
 * Sampling with your own schedule: Align Your Steps (Sabour et al. 2024), whose ten steps look like
 * 25 of the default ones.
 *
 *     npx tsx examples/ownSchedule.ts PICTURE VIDEO [STEPS]
 */
import {
  exportToVideo,
  Generator,
  loadImage,
  packagedModel,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

const [picture, video, steps = '10'] = process.argv.slice(2);
if (!picture || !video)
  throw new Error('Usage: npx tsx examples/ownSchedule.ts PICTURE VIDEO [STEPS]');

/** The paper's noise levels for Stable Video Diffusion, without the last one, which is 0. */
const aligned = [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034];

/** Another number of levels on the same curve: interpolates their logarithms, as the paper does. */
function resampled(levels: number[], count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const place = count === 1 ? 0 : (i * (levels.length - 1)) / (count - 1);
    const [low, rest] = [Math.floor(place), place % 1];
    return levels[low]! ** (1 - rest) * levels[Math.min(low + 1, levels.length - 1)]! ** rest;
  });
}

const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel);
const sigmas = [...resampled(aligned, Number(steps)), 0];
console.log(`noise levels ${sigmas.map((sigma) => sigma.toPrecision(3)).join(', ')}`);
const { frames } = await pipe.generate(await loadImage(picture), {
  ...{ height: 64, width: 96, numFrames: 4 }, // omit these for a published checkpoint
  sigmas, // replace numInferenceSteps
  generator: new Generator(42),
  onProgress: ({ stage, step, steps }) => console.log(`${stage} ${step}/${steps}`),
});
await exportToVideo(frames[0]!, video, { fps: 7 });
console.log(`${video} has ${frames[0]!.length} frames`);
pipe.dispose();
