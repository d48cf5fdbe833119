/** The small checkpoint that comes with the package, by its address. */

/** Where this module stands in the package, built or not. A bundler moves it. */
const place = /((dist\/)?src\/checkpoints\/web\/)?[^/]*$/;

/**
 * The address of the small checkpoint that comes with the package: 64x64 pixels, 8 frames, trained
 * on rendered toys. In a bundle this is the folder `weights/tiny` beside the bundle: copy
 * `node_modules/stable-video-diffusion-tfjs/weights/tiny` there.
 */
export const packagedModel: string = (import.meta.url ?? '').replace(place, 'weights/tiny');
