/**
 * From a picture to an MP4, with progress, a seed and Ctrl-C.
 *
 *     npx tsx examples/imageToVideo.ts examples/pictures/rocket.jpg out.mp4 [model folder]
 */
import {
  checkOutput,
  exportToVideo,
  Generator,
  loadImage,
  type Progress,
  packagedModel,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

const [picture, video, model = packagedModel] = process.argv.slice(2);
if (!picture || !video)
  throw new Error('Usage: npx tsx examples/imageToVideo.ts PICTURE VIDEO [MODEL]');

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const { signal } = stop;
const onProgress = ({ stage, step, steps }: Progress) =>
  process.stderr.write(`\r${stage} ${step}/${steps}   `);

await checkOutput(video); // fails now, not after the long work
const image = await loadImage(picture);
const pipe = await StableVideoDiffusionPipeline.fromPretrained(model, {
  backend: 'auto',
  onProgress,
  signal,
});
try {
  // The defaults suit a published checkpoint: 576 x 1024 pixels, the number of frames that it was
  // trained on, 25 steps.
  const size =
    model === packagedModel ? { height: 64, width: 96, numFrames: 8, numInferenceSteps: 10 } : {};
  const { frames } = await pipe.generate(image, {
    ...size,
    generator: new Generator(42),
    fps: 7,
    decodeChunkSize: 4,
    onProgress,
    signal,
  });
  await exportToVideo(frames[0], video, { fps: 7, signal }); // one list of pictures per video
  process.stderr.write(`\r${video} has ${frames[0].length} frames\n`);
} finally {
  pipe.dispose();
}
