/**
 * What the motion bucket does: each picture beside the videos of three buckets, slow to fast, in
 * one GIF.
 *
 *     npx tsx examples/motionBuckets.ts out.gif PICTURE PICTURE ...
 */
import {
  exportToVideo,
  framesToImages,
  Generator,
  loadImage,
  type RgbImage,
  StableVideoDiffusionPipeline,
  vaePixelValues,
} from '../src/index.ts'; // in a project of your own: from 'stable-video-diffusion-tfjs'

const [gif, ...pictures] = process.argv.slice(2);
if (!gif || pictures.length === 0)
  throw new Error('Usage: npx tsx examples/motionBuckets.ts GIF PICTURE...');

const [side, gap] = [64, 4]; // pixels
const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny', { backend: 'auto' });
const pixels = vaePixelValues(
  await Promise.all(pictures.map((path) => loadImage(path))),
  side,
  side,
); // in [-1, 1], as the model sees them
const [images] = framesToImages({
  data: pixels.data.map((x) => x / 2 + 0.5),
  shape: [1, ...pixels.shape],
});
const columns: RgbImage[][][] = []; // buckets, pictures, frames
for (const motionBucketId of [40, 127, 200]) {
  const generator = images.map((_, i) => new Generator(i));
  columns.push(
    (await pipe.generate(images, { height: side, width: side, motionBucketId, generator })).frames,
  );
}
pipe.dispose();

/** Pictures in rows and columns on white. */
function grid(rows: RgbImage[][]): RgbImage {
  const [width, height] = [rows[0]!.length * (side + gap) - gap, rows.length * (side + gap) - gap];
  const data = new Uint8Array(width * height * 3).fill(255);
  for (const [row, line] of rows.entries()) {
    for (const [column, picture] of line.entries()) {
      for (let y = 0; y < side; y++) {
        const start = (row * (side + gap) + y) * width + column * (side + gap);
        data.set(picture.data.subarray(y * side * 3, (y + 1) * side * 3), start * 3);
      }
    }
  }
  return { width, height, data };
}

const numFrames = columns[0]![0]!.length;
const frames = Array.from({ length: numFrames }, (_, f) =>
  grid(images.map((image, i) => [image, ...columns.map((videos) => videos[i]![f]!)])),
);
await exportToVideo(frames, gif, { fps: 7 });
