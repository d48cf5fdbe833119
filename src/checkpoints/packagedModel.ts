/** The small checkpoint that comes with the package, as a folder. */
import { fileURLToPath } from 'node:url';
import { packagedModel as address } from './web/packagedModel.ts';

/**
 * The folder of the small checkpoint that comes with the package: 64x64 pixels, 8 frames, trained
 * on rendered toys. In a bundle this is the folder `weights/tiny` beside the bundle: copy
 * `node_modules/stable-video-diffusion-tfjs/weights/tiny` there.
 */
export const packagedModel: string = /^file:/.test(address) ? fileURLToPath(address) : address;
