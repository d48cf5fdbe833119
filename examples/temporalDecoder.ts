/**
 * The temporal decoder by itself removes the flicker from frames that another model made one by
 * one. It takes the latents of that model, a tensor `latents` `[F, 4, h, w]` as the pipelines of
 * Stable Diffusion 1 and 2 return them, or its frames, which it encodes first.
 *
 *     npx tsx examples/temporalDecoder.ts VIDEO LATENTS.safetensors|FRAME...
 */
import * as tf from '@tensorflow/tfjs';
import {
  exportToVideo,
  framesToImages,
  loadImage,
  packagedModel,
  useBackend,
  vaePixelValues,
} from 'stable-video-diffusion-tfjs';
import {
  camelCaseConfig,
  loadWeights,
  openModelFolder,
  openSafetensors,
} from 'stable-video-diffusion-tfjs/checkpoints';
import { AutoencoderKLTemporalDecoder } from 'stable-video-diffusion-tfjs/models';

type Shape = [number, number, number, number];
const [video, ...inputs] = process.argv.slice(2);
if (!video || inputs.length === 0)
  throw new Error('Usage: npx tsx examples/temporalDecoder.ts VIDEO LATENTS.safetensors|FRAME...');

await useBackend('auto');
const folder = await openModelFolder(packagedModel);
const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(folder.config('vae')));
vae.build();
await loadWeights(vae, await folder.weights('vae'));
await folder.close();

/** Reads latents `[F, h, w, 4]` and divides them by the factor of the pipelines. */
async function readLatents(path: string): Promise<tf.Tensor4D> {
  const file = await openSafetensors(path);
  const latents = tf.tensor4d(await file.read('latents'), file.info('latents').shape as Shape);
  await file.close();
  return tf.tidy(() => tf.transpose(tf.div(latents, vae.config.scalingFactor), [0, 2, 3, 1]));
}

/** Encodes pictures to latents `[F, h, w, 4]`. */
async function encode(pictures: string[]): Promise<tf.Tensor4D> {
  const images = await Promise.all(pictures.map((picture) => loadImage(picture)));
  const { data, shape } = vaePixelValues(images, 64, 96); // [F, H, W, 3] in [-1, 1]
  return (await vae.encode(tf.tensor4d(data, shape as Shape))).mode();
}

console.log(`Decoding ${inputs.join(', ')} to ${video} ...`);
const [first] = inputs as [string];
const latents = await (first.endsWith('.safetensors') ? readLatents(first) : encode(inputs));
const decoded = await vae.decode(latents, latents.shape[0]); // [F, H, W, 3], about [-1, 1]
const values = tf.tidy(() => tf.clipByValue(tf.add(tf.mul(decoded, 0.5), 0.5), 0, 1));
const data = await values.data<'float32'>();
const [images] = framesToImages({ data, shape: [1, ...values.shape] });
await exportToVideo(images, video, { fps: 4 });
