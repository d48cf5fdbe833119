/**
 * Several pictures as one batch, each with a seed of its own: the video of a picture is the same in
 * any batch.
 *
 *     npx tsx examples/batchOfPictures.ts FOLDER PICTURE PICTURE ...
 */
import { basename } from 'node:path';
import { exportToVideo, Generator, loadImage, StableVideoDiffusionPipeline } from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'

const [folder, ...pictures] = process.argv.slice(2);
if (!folder || pictures.length === 0)
  throw new Error('Usage: npx tsx examples/batchOfPictures.ts FOLDER PICTURE...');

const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny');
// they may be of different sizes
const images = await Promise.all(pictures.map((picture) => loadImage(picture)));
const { frames } = await pipe.generate(images, {
  // leave these out for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 4, numInferenceSteps: 2 },
  // one for all would do as well: it then draws for one after the other
  generator: pictures.map((_, i) => new Generator(42 + i)),
});
for (const [i, video] of frames.entries()) {
  // a folder of PNG pictures; `.mp4` or `.webp` make videos
  const path = `${folder}/${basename(pictures[i]!).replace(/\.\w+$/, '')}/`;
  await exportToVideo(video, path);
  console.log(path);
}
pipe.dispose();
