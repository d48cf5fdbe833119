/** The folders of `svd setup tensorflow`. */
import { foundFolder } from '../setup/folder.ts';
import { packageIn } from '../setup/packages.ts';

/** A libtensorflow for the processor (`cpu`), or one with CUDA (`gpu`). */
export type TensorflowVariant = 'cpu' | 'gpu';

/** The version of the npm package tfjs-node, and of the TensorFlow that it is linked with. */
export const tfjsNodeVersion = '4.22.0';
export const tensorflowVersion = '2.21.0';

/** The name of the folder of one variant. */
export const tensorflowFolder = (variant: TensorflowVariant): string =>
  `tfjs-node-${tfjsNodeVersion}-tensorflow-${tensorflowVersion}-${variant}`;

/** The folder of a variant that is set up. */
export const foundTensorflowFolder = (variant: TensorflowVariant): string | undefined =>
  foundFolder(tensorflowFolder(variant));

/** The tfjs-node package inside the folder of a variant. */
export const tfjsNodeFolder = (variantFolder: string): string =>
  packageIn(variantFolder, '@tensorflow/tfjs-node');
