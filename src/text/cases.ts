/**
 * The spellings of one name: `numFrames` in code, `num_frames` in configs, `num-frames` as option.
 */

/** `num_frames` as `numFrames`. */
export const camelCase = (name: string): string =>
  name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** `numFrames` as `num_frames`. */
export const snakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** `numFrames` as `num-frames`. */
export const kebabCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
