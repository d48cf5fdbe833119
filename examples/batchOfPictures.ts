/**
 * Several pictures as one batch, each with its own seed. A picture has the same video in any batch.
 *
 *     npx tsx examples/batchOfPictures.ts FOLDER PICTURE PICTURE ...
 */
import { basename } from 'node:path';
import {
  exportToVideo,
  Generator,
  loadImage,
  packagedModel,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

const [folder, ...pictures] = process.argv.slice(2);
if (!folder || pictures.length === 0)
  throw new Error('Usage: npx tsx examples/batchOfPictures.ts FOLDER PICTURE...');

console.log(`Making videos of ${pictures.join(' and ')} ...`);
const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel);
// the pictures may have different sizes
const images = await Promise.all(pictures.map((picture) => loadImage(picture)));
const { frames } = await pipe.generate(images, {
  // omit these for a published checkpoint
  ...{ height: 64, width: 96, numFrames: 4, numInferenceSteps: 2 },
  // one generator for all is possible, too: it draws for one picture after the other
  generator: pictures.map((_, i) => new Generator(42 + i)),
  onProgress: ({ stage, step, steps }) => console.log(`${stage} ${step}/${steps}`),
});
for (const [i, video] of frames.entries()) {
  // a folder of PNG pictures; `.mp4` or `.webp` make videos
  const path = `${folder}/${basename(pictures[i]!).replace(/\.\w+$/, '')}/`;
  await exportToVideo(video, path);
  console.log(`${path} has ${video.length} pictures`);
}
pipe.dispose();
