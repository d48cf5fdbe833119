/**
 * The temporal decoder by itself: frames that some other model made are encoded one by one and decoded as one video.
 *
 *     npx tsx examples/temporalDecoder.ts out.gif FRAME FRAME ...
 */
import * as tf from '@tensorflow/tfjs';
import {
  AutoencoderKLTemporalDecoder,
  camelCaseConfig,
  exportToVideo,
  framesToImages,
  loadImage,
  loadWeights,
  openModelFolder,
  useBackend,
  vaePixelValues,
} from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'

const [video, ...pictures] = process.argv.slice(2);
if (!video || pictures.length === 0) throw new Error('Usage: npx tsx examples/temporalDecoder.ts VIDEO FRAME...');

await useBackend('auto');
const folder = await openModelFolder('weights/tiny');
const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(folder.config('vae')));
vae.build();
await loadWeights(vae, await folder.weights('vae'));
await folder.close();

const frames = await Promise.all(pictures.map((picture) => loadImage(picture)));
const { data, shape } = vaePixelValues(frames, 64, 96); // [F, H, W, 3] in [-1, 1], the size is a multiple of vae.scaleFactor
const posterior = await vae.encode(tf.tensor4d(data, shape as [number, number, number, number]));
const latents = posterior.mode(); // [F, h, w, 4]; latents of Stable Diffusion 1 and 2 live in the same space
const decoded = await vae.decode(latents, frames.length); // [F, H, W, 3], about [-1, 1]
const pixels = tf.tidy(() => tf.clipByValue(tf.add(tf.mul(decoded, 0.5), 0.5), 0, 1));
const [images] = framesToImages({ data: (await pixels.data()) as Float32Array, shape: [1, ...pixels.shape] });
await exportToVideo(images, video, { fps: 4 });
