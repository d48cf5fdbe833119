/**
 * The temporal decoder by itself, which takes the flicker out of frames that another model made one
 * by one. It takes that model's latents, a tensor `latents` `[F, 4, h, w]` as pipelines of Stable
 * Diffusion 1 and 2 hold them, or its frames, which are encoded first.
 *
 *     npx tsx examples/temporalDecoder.ts VIDEO LATENTS.safetensors
 *     npx tsx examples/temporalDecoder.ts VIDEO FRAME FRAME ...
 */
import * as tf from '@tensorflow/tfjs';
import {
  camelCaseConfig,
  loadWeights,
  openModelFolder,
  openSafetensors,
} from '../src/checkpoints/index.ts'; // .../checkpoints
import {
  AutoencoderKLTemporalDecoder,
  exportToVideo,
  framesToImages,
  loadImage,
  useBackend,
  vaePixelValues,
} from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'

const [video, ...inputs] = process.argv.slice(2);
if (!video || inputs.length === 0)
  throw new Error('Usage: npx tsx examples/temporalDecoder.ts VIDEO LATENTS.safetensors|FRAME...');

await useBackend('auto');
const folder = await openModelFolder('weights/tiny');
const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(folder.config('vae')));
vae.build();
await loadWeights(vae, await folder.weights('vae'));
await folder.close();

/** Latents `[F, h, w, 4]` of a file, divided by the factor that pipelines multiply them by. */
async function readLatents(path: string): Promise<tf.Tensor4D> {
  const file = await openSafetensors(path);
  const [data, { shape }] = [await file.read('latents'), file.info('latents')];
  await file.close();
  return tf.tidy(
    () =>
      tf.div(
        tf.transpose(tf.tensor(data, shape), [0, 2, 3, 1]),
        vae.config.scalingFactor,
      ) as tf.Tensor4D,
  );
}

/** Latents `[F, h, w, 4]` of pictures; their size becomes a multiple of `vae.scaleFactor`. */
async function encode(pictures: string[]): Promise<tf.Tensor4D> {
  const frames = await Promise.all(pictures.map((picture) => loadImage(picture)));
  const { data, shape } = vaePixelValues(frames, 64, 96); // [F, H, W, 3] in [-1, 1]
  return (await vae.encode(tf.tensor4d(data, shape as [number, number, number, number]))).mode();
}

const latents = inputs[0]!.endsWith('.safetensors')
  ? await readLatents(inputs[0]!)
  : await encode(inputs);
const decoded = await vae.decode(latents, latents.shape[0]); // [F, H, W, 3], about [-1, 1]
const pixels = tf.tidy(() => tf.clipByValue(tf.add(tf.mul(decoded, 0.5), 0.5), 0, 1));
const [images] = framesToImages({
  data: (await pixels.data()) as Float32Array,
  shape: [1, ...pixels.shape],
});
await exportToVideo(images, video, { fps: 4 });
