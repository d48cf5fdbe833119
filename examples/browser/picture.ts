/** Pictures that are chosen, dropped or among the samples. */
import type { RgbImage } from 'stable-video-diffusion-tfjs/browser';
import { element } from './element.ts';

const shown = element<HTMLImageElement>('picture');

/** Shows a picture in the form, or none. */
export function showPicture(source?: File | HTMLImageElement): void {
  URL.revokeObjectURL(shown.src);
  if (!source) shown.removeAttribute('src');
  else shown.src = source instanceof File ? URL.createObjectURL(source) : source.src;
}

/**
 * The pixels of a picture. The browser's colour management is off, so that the bytes are those that
 * other programs read.
 */
export async function readPicture(source: File | HTMLImageElement): Promise<RgbImage> {
  const bitmap = await createImageBitmap(source, {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  return {
    width,
    height,
    data: new Uint8Array(width * height * 3).map((_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]!),
  };
}
