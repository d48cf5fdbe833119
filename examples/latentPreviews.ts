/**
 * Previews during sampling: after each step, one decoded frame of the clean video that the sampler
 * expects.
 *
 *     npx tsx examples/latentPreviews.ts PICTURE FOLDER
 */
import { mkdir } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import {
  exportToVideo,
  framesToImages,
  Generator,
  loadImage,
  StableVideoDiffusionPipeline,
  type StepCallback,
} from 'stable-video-diffusion-tfjs';

const [picture, folder] = process.argv.slice(2);
if (!picture || !folder)
  throw new Error('Usage: npx tsx examples/latentPreviews.ts PICTURE FOLDER');
await mkdir(folder, { recursive: true });

let before: tf.Tensor | undefined;
const preview: StepCallback = async (pipe, step, _timestep, { latents }) => {
  const [from, to] = [pipe.scheduler.sigmas[step], pipe.scheduler.sigmas[step + 1]];
  const middle = Math.floor(latents.shape[1]! / 2);
  // one frame, [1, h, w, 4]
  const now = tf.tidy(() => tf.squeeze(tf.slice(latents, [0, middle], [1, 1]), [1]));
  if (before) {
    // An Euler step goes straight from noise level `from` to `to`. Extended to level 0, it ends at
    // the expected clean latents.
    const clean = tf.tidy(() => tf.add(now, tf.mul(tf.sub(now, before!), to / (from - to))));
    const [[frame]] = framesToImages(await pipe.decodeLatents(clean as tf.Tensor4D, 1, 1));
    await exportToVideo([frame!], `${folder}/step-${step}/`);
    console.log(`step ${step}: noise level ${to.toFixed(3)}`);
    tf.dispose([before, clean]);
  }
  before = now;
  return undefined; // keeps the latents
};

const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny');
const { frames } = await pipe.generate(await loadImage(picture), {
  // omit these for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 4, numInferenceSteps: 3 },
  generator: new Generator(42),
  callbackOnStepEnd: preview,
});
await exportToVideo(frames[0]!, `${folder}/video.gif`, { fps: 7 });
before?.dispose();
pipe.dispose();
