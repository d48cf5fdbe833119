/**
 * The effect of the motion bucket: each picture beside its videos for three buckets, slow to fast,
 * in one GIF.
 *
 *     npx tsx examples/motionBuckets.ts out.gif PICTURE PICTURE ...
 */
import {
  exportToVideo,
  framesToImages,
  Generator,
  loadImage,
  packagedModel,
  type RgbImage,
  StableVideoDiffusionPipeline,
  vaePixelValues,
} from 'stable-video-diffusion-tfjs';

const [gif, ...pictures] = process.argv.slice(2);
if (!gif || pictures.length === 0)
  throw new Error('Usage: npx tsx examples/motionBuckets.ts GIF PICTURE...');

const [side, gap] = [64, 4]; // pixels
const loaded = await Promise.all(pictures.map((path) => loadImage(path)));
// the pictures as the model sees them: resized, in [-1, 1]
const pixels = vaePixelValues(loaded, side, side);
const unit = pixels.data.map((x) => x / 2 + 0.5);
const [images] = framesToImages({ data: unit, shape: [1, ...pixels.shape] });

const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel);
const columns: RgbImage[][][] = []; // buckets, pictures, frames
for (const motionBucketId of [40, 127, 200]) {
  const generator = images.map((_, i) => new Generator(i));
  console.log(`Making videos with motion bucket ${motionBucketId} ...`);
  const size = { height: side, width: side, numInferenceSteps: 6 };
  const settings = { ...size, motionBucketId, generator };
  columns.push((await pipe.generate(images, settings)).frames);
}
pipe.dispose();

/** Arranges pictures in rows and columns on white. */
function grid(rows: RgbImage[][]): RgbImage {
  const [width, height] = [rows[0]!, rows].map(({ length }) => length * (side + gap) - gap);
  const data = new Uint8Array(width! * height! * 3).fill(255);
  for (const [row, line] of rows.entries()) {
    for (const [column, picture] of line.entries()) {
      for (let y = 0; y < side; y++) {
        const start = (row * (side + gap) + y) * width! + column * (side + gap);
        data.set(picture.data.subarray(y * side * 3, (y + 1) * side * 3), start * 3);
      }
    }
  }
  return { width: width!, height: height!, data };
}

const frames = columns[0]![0]!.map((_, f) =>
  grid(images.map((image, i) => [image, ...columns.map((videos) => videos[i]![f]!)])),
);
await exportToVideo(frames, gif, { fps: 7 });
console.log(`${gif} has ${frames.length} frames`);
