/** Recognises a checkpoint by the names and shapes of its tensors, and finds what is wrong. */

import type { Checkpoint } from './checkpoint.ts';
import { declaredModel } from './components.ts';
import { type WeightedComponent, weightedComponents } from './diffusers/names.ts';
import { CheckpointError } from './errors.ts';
import { publishedConfigs } from './original/publishedConfigs.ts';
import { checkModelWeights } from './weights/load.ts';
import type { WeightSource } from './weights/source.ts';

/** The findings of `inspectModel`. */
export interface Inspection {
  /** Which model it is, in a few words. */
  recognised: string;
  /** A sentence for each component whose tensors don't fit its config; empty if all do. */
  problems: string[];
  /** A sentence for each component that has surplus tensors, which are passed over. */
  warnings: string[];
}

/**
 * Reads the headers of all weight files.
 * @throws CheckpointError if one is missing or broken, or a config is of another model.
 */
export async function inspectModel(files: Checkpoint): Promise<Inspection> {
  const { num_frames: numFrames } = files.config('unet') as { num_frames: number };
  const { configs } = publishedConfigs(numFrames);
  const published = { ...files, config: (component: keyof typeof configs) => configs[component] };
  const problems: string[] = [];
  const warnings: string[] = [];
  let isPublished = true;
  for (const component of weightedComponents) {
    const source = await files.weights(component);
    const { problem, warning } = compare(files, component, source);
    if (problem !== undefined) problems.push(problem);
    if (warning !== undefined) warnings.push(warning);
    isPublished &&= compare(published, component, source).problem === undefined;
  }
  const name = { 14: ', like img2vid', 25: ', like img2vid-xt' }[numFrames] ?? '';
  const size = isPublished
    ? `the published size, for ${numFrames} frames${name}`
    : 'a size of its own';
  return { recognised: `Stable Video Diffusion in ${size}`, problems, warnings };
}

/** Sentences on the tensors of `source` that are not the weights of a component. */
function compare(
  files: Checkpoint,
  component: WeightedComponent,
  source: WeightSource,
): { problem?: string; warning?: string } {
  const model = declaredModel(files, component);
  try {
    return { warning: checkModelWeights(model, source, component) };
  } catch (error) {
    if (error instanceof CheckpointError) return { problem: error.message };
    throw error;
  } finally {
    model.dispose();
  }
}
