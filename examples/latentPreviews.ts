/**
 * Previews during sampling: after each step, the clean video that the sampler expects. A map from
 * latents to colours that is fitted to the picture makes them, so they cost next to nothing.
 *
 *     npx tsx examples/latentPreviews.ts PICTURE FOLDER
 */
import { mkdir } from 'node:fs/promises';
import {
  exportToVideo,
  Generator,
  latentPreviews,
  loadImage,
  packagedModel,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

const [picture, folder] = process.argv.slice(2);
if (!picture || !folder)
  throw new Error('Usage: npx tsx examples/latentPreviews.ts PICTURE FOLDER');
await mkdir(folder, { recursive: true });

console.log(`Making a video of ${picture} ...`);
const image = await loadImage(picture);
const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel);
const { frames } = await pipe.generate(image, {
  // omit these for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 4, numInferenceSteps: 6 },
  generator: new Generator(42),
  ...latentPreviews(image, async ([preview], step) => {
    const path = `${folder}/step-${step}.gif`;
    await exportToVideo(preview!, path, { fps: 7 });
    // of the latents' size: an eighth of the video's
    console.log(`${path}: ${preview![0]!.width} x ${preview![0]!.height}`);
  }),
});
await exportToVideo(frames[0]!, `${folder}/video.gif`, { fps: 7 });
console.log(`${folder}/video.gif: ${frames[0]![0]!.width} x ${frames[0]![0]!.height}`);
pipe.dispose();
