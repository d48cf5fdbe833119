/**
 * The folder of `svd setup tensorflow`: one per user, outside any project, so that no `npm ci`
 * undoes it.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A libtensorflow for the processor (`cpu`), or one with CUDA (`gpu`). */
export type TensorflowVariant = 'cpu' | 'gpu';

/** The version of the npm package tfjs-node, and of the TensorFlow that it is linked with. */
export const tfjsNodeVersion = '4.22.0';
export const tensorflowVersion = '2.21.0';

/**
 * The folder that holds every variant: `$SVD_TENSORFLOW_DIR`, or `stable-video-diffusion-tfjs` in
 * the user's data folder (`$XDG_DATA_HOME`, by default `~/.local/share`).
 */
export function tensorflowRoot(): string {
  const chosen = process.env.SVD_TENSORFLOW_DIR;
  if (chosen) return chosen;
  return join(
    process.env.XDG_DATA_HOME || join(homedir(), '.local', 'share'),
    'stable-video-diffusion-tfjs',
  );
}

/** The folder of one variant. It exists only when that variant is set up completely. */
export function tensorflowFolder(variant: TensorflowVariant): string {
  return join(
    tensorflowRoot(),
    `tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-${variant}`,
  );
}

/** The tfjs-node package inside the folder of a variant. */
export function tfjsNodeFolder(variantFolder: string): string {
  return join(variantFolder, 'node_modules', '@tensorflow', 'tfjs-node');
}
