/**
 * The weight manifest of a TensorFlow.js artifact (`model.json`): which bytes of which files are
 * which weight, and how they are quantised.
 */

import { isFileName } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';

/**
 * How the values of a weight are stored if not as float32: in half precision, or as steps of
 * `scale` from `min` on.
 */
export type Quantization =
  | { dtype: 'float16' }
  | { dtype: 'uint8' | 'uint16'; scale: number; min: number };

/** One weight of a manifest. */
export interface ManifestWeight {
  /** The model's name, and below it the names of layers and of the weight, separated by slashes. */
  name: string;
  /** In TensorFlow.js's axis order. */
  shape: number[];
  /** Its type after loading. */
  dtype: 'float32';
  quantization?: Quantization;
}

/** Files whose bytes, one file after the other, are those of the weights, one after the other. */
export interface ManifestGroup {
  /** Names of files beside the manifest. */
  paths: string[];
  weights: ManifestWeight[];
}

/** Bytes of one value by how it is stored. */
const valueBytes = { float32: 4, float16: 2, uint16: 2, uint8: 1 };

/** The bytes that a weight takes. */
export function storedBytes({
  shape,
  quantization,
}: Pick<ManifestWeight, 'shape' | 'quantization'>): number {
  return (
    shape.reduce((product, axis) => product * axis, 1) *
    valueBytes[quantization?.dtype ?? 'float32']
  );
}

/**
 * The manifest in the content of the `model.json` at `path`.
 * @throws CheckpointError if it is missing or malformed.
 */
export function manifestOf(
  { weightsManifest }: Record<string, unknown>,
  path: string,
): ManifestGroup[] {
  const fail = (what: string) =>
    new CheckpointError(`${path} is not a valid TensorFlow.js artifact: ${what}.`);
  if (!Array.isArray(weightsManifest)) throw fail('it has no `weightsManifest`');
  for (const group of weightsManifest as Partial<ManifestGroup>[]) {
    const { paths, weights } = Object(group);
    if (!Array.isArray(paths) || !Array.isArray(weights))
      throw fail('a group of its weights has no `paths` or no `weights`');
    const outside = paths.find((name) => !isFileName(name));
    if (outside !== undefined)
      throw fail(`its files have to be names in the same folder, but one is ${quoted(outside)}`);
    for (const weight of weights) checkWeight(Object(weight), fail);
  }
  return weightsManifest as ManifestGroup[];
}

function checkWeight(
  { name, shape, dtype, quantization }: Partial<ManifestWeight>,
  fail: (what: string) => CheckpointError,
): void {
  if (typeof name !== 'string') throw fail('a weight has no name');
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw fail(`${quoted(name)} has the shape ${quoted(shape)}, which is not a list of sizes`);
  }
  if (dtype !== 'float32')
    throw fail(`${quoted(name)} is of the type ${quoted(dtype)} and not float32`);
  if (quantization !== undefined) checkQuantization(name, Object(quantization), fail);
  if (!Number.isSafeInteger(storedBytes({ shape, quantization })))
    throw fail(`${quoted(name)} has the impossible shape ${quoted(shape)}`);
}

function checkQuantization(
  name: string,
  { dtype: stored, scale, min }: { dtype: string; scale?: number; min?: number },
  fail: (what: string) => CheckpointError,
): void {
  const affine = ['uint8', 'uint16'].includes(stored);
  if (!affine && stored !== 'float16')
    throw fail(
      `${quoted(name)} is quantised to ${quoted(stored)} and not to float16, uint8 or uint16`,
    );
  if (affine && !(Number.isFinite(scale) && Number.isFinite(min)))
    throw fail(`${quoted(name)} has no numbers \`scale\` and \`min\``);
}
