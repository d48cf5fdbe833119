/**
 * Frames as they are decoded: samples the video, then decodes a few frames at a time and shows each
 * frame at once.
 *
 *     npx tsx examples/streamingFrames.ts PICTURE FOLDER
 */
import { mkdir } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import {
  exportToVideo,
  framesToImages,
  Generator,
  loadImage,
  packagedModel,
  type RgbImage,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

const [picture, folder] = process.argv.slice(2);
if (!picture || !folder)
  throw new Error('Usage: npx tsx examples/streamingFrames.ts PICTURE FOLDER');
await mkdir(folder, { recursive: true });

/**
 * Decodes latents `[F, h, w, 4]` in chunks and yields frame after frame. The temporal decoder makes
 * the frames of a chunk consistent.
 */
async function* decode(
  pipe: StableVideoDiffusionPipeline,
  latents: tf.Tensor4D,
  chunk: number,
): AsyncGenerator<RgbImage> {
  for (let first = 0; first < latents.shape[0]; first += chunk) {
    const count = Math.min(chunk, latents.shape[0] - first);
    const part = tf.slice(latents, first, count);
    const values = await pipe.decodeLatents(part, count, count); // [1, count, H, W, 3] in [0, 1]
    part.dispose();
    yield* framesToImages(values)[0];
  }
}

const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel);
console.log(`Sampling a video of ${picture} ...`);
const { frames: latents } = await pipe.generate(await loadImage(picture), {
  // omit these for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 6, numInferenceSteps: 2 },
  generator: new Generator(42),
  outputType: 'latent',
});
const ofOneVideo = tf.squeeze<tf.Tensor4D>(latents, [0]); // [1, F, h, w, 4] -> [F, h, w, 4]
let index = 0;
for await (const frame of decode(pipe, ofOneVideo, 2)) {
  // This writes PNG files. A server would send the frame, a page would draw it.
  await exportToVideo([frame], `${folder}/${index}/`);
  console.log(`frame ${index++}: ${frame.width} x ${frame.height}`);
}
tf.dispose([latents, ofOneVideo]);
pipe.dispose();
