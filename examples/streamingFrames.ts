/**
 * Frames as they are decoded: the video is sampled once, then decoded a few frames at a time, and
 * each frame is shown at once.
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
  type RgbImage,
  StableVideoDiffusionPipeline,
} from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'

const [picture, folder] = process.argv.slice(2);
if (!picture || !folder)
  throw new Error('Usage: npx tsx examples/streamingFrames.ts PICTURE FOLDER');
await mkdir(folder, { recursive: true });

/**
 * Decodes latents `[1, F, h, w, 4]` by chunks, which the temporal decoder makes consistent within,
 * and gives frame after frame.
 */
async function* decoded(
  pipe: StableVideoDiffusionPipeline,
  latents: tf.Tensor,
  chunk: number,
): AsyncGenerator<RgbImage> {
  const [, count, height, width, channels] = latents.shape as [
    number,
    number,
    number,
    number,
    number,
  ];
  for (let first = 0; first < count; first += chunk) {
    const frames = Math.min(chunk, count - first);
    const part = tf.tidy(() =>
      tf.reshape(tf.slice(latents, [0, first], [1, frames]), [frames, height, width, channels]),
    ) as tf.Tensor4D;
    const values = await pipe.decodeLatents(part, frames, frames); // [1, frames, H, W, 3] in [0, 1]
    part.dispose();
    yield* framesToImages(values)[0];
  }
}

const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny');
const { frames: latents } = await pipe.generate(await loadImage(picture), {
  // leave these out for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 6, numInferenceSteps: 2 },
  generator: new Generator(42),
  outputType: 'latent',
});
let index = 0;
for await (const frame of decoded(pipe, latents, 2)) {
  // Here they become PNG files; a server would send them on, a page would draw them.
  await exportToVideo([frame], `${folder}/${index}/`);
  console.log(`frame ${index++}: ${frame.width} x ${frame.height}`);
}
latents.dispose();
pipe.dispose();
