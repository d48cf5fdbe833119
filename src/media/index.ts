/** Reading pictures and writing videos, in Node. */

export type { RgbImage } from './image.ts';
export { loadImage } from './pictures/loadImage.ts';
export {
  CLIP_MEAN,
  CLIP_STD,
  clipPixelValues,
  framesToImages,
  vaePixelValues,
} from './preprocess.ts';
export { resizeLanczos, resizeNearest, resizeWithAntialiasing } from './resample.ts';
export type { VideoEncoder } from './video/encodingOptions.ts';
export { type ExportOptions, exportToVideo } from './video/exportVideo.ts';
export { checkOutput, type OutputFormat, outputFormat } from './video/output.ts';
export { readMetadata } from './video/readMetadata.ts';
