/**
 * The folder of `svd setup tensorflow`: one per user, outside any project, so that no `npm ci`
 * undoes it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { dataFolder } from '../../files/home.ts';

/** A libtensorflow for the processor (`cpu`), or one with CUDA (`gpu`). */
export type TensorflowVariant = 'cpu' | 'gpu';

/** The version of the npm package tfjs-node, and of the TensorFlow that it is linked with. */
export const tfjsNodeVersion = '4.22.0';
export const tensorflowVersion = '2.21.0';

/**
 * The folder that holds every variant: `$SVD_TENSORFLOW_DIR`, or `stable-video-diffusion-tfjs` in
 * the user's data folder (`$XDG_DATA_HOME`, by default `~/.local/share`).
 * @throws Error if the user has no home folder and neither variable is set.
 */
export function tensorflowRoot(): string {
  const root = knownRoot();
  if (root) return root;
  throw new Error(
    'This user has no home folder for TensorFlow. Set SVD_TENSORFLOW_DIR to a folder for it.',
  );
}

function knownRoot(): string | undefined {
  const data = dataFolder();
  return process.env.SVD_TENSORFLOW_DIR || (data && join(data, 'stable-video-diffusion-tfjs'));
}

/** The folder of one variant. It exists only when that variant is set up completely. */
export function tensorflowFolder(variant: TensorflowVariant): string {
  return join(
    tensorflowRoot(),
    `tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-${variant}`,
  );
}

/** The folder of a variant that is set up. */
export function foundTensorflowFolder(variant: TensorflowVariant): string | undefined {
  if (knownRoot() === undefined) return undefined;
  const folder = tensorflowFolder(variant);
  return existsSync(folder) ? folder : undefined;
}

/** The tfjs-node package inside the folder of a variant. */
export function tfjsNodeFolder(variantFolder: string): string {
  return join(variantFolder, 'node_modules', '@tensorflow', 'tfjs-node');
}
