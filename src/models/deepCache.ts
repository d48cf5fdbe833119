/**
 * Where DeepCache (Ma et al. 2023) enters the UNet in its shallow evaluations. Branches are
 * numbered as in the folder `DeepCache/svd` of the published code.
 */
import type { UpBlockSpatioTemporal } from '../layers/index.ts';

/** Layers of an up block, the upsampler being the last one. */
export interface UpPart {
  block: UpBlockSpatioTemporal;
  /** The first of them, and the first one behind them. */
  layers: [from: number, to: number];
  /** The skip connections that they take. */
  skips: number;
}

const skipsOf = (blocks: readonly UpBlockSpatioTemporal[]) =>
  blocks.reduce((sum, { config }) => sum + config.numLayers, 0);

/**
 * The skip connections that a shallow evaluation takes: those of the input and of the layers and
 * samplers of the down path up to that of the branch.
 */
export const skipsOfBranch = (branch: number): number => branch + 2;

/** How many branches a UNet with these up blocks has. */
export const countBranches = (blocks: readonly UpBlockSpatioTemporal[]): number =>
  skipsOf(blocks) + 1 - skipsOfBranch(0);

/** @throws Error if a UNet that has `count` branches lacks this one. */
export function checkBranch(branch: number, count: number): void {
  if (branch < count) return;
  throw new Error(
    `\`deepCache.branch\` (--deep-cache INTERVAL:BRANCH) has to be ` +
      `${count === 1 ? '0' : `from 0 to ${count - 1}`} for this UNet but is ${branch}.`,
  );
}

/**
 * The up path before the state that DeepCache keeps, and behind it. Without a branch, there is
 * nothing before.
 * @throws Error if the UNet lacks the branch.
 */
export function splitUpPath(
  blocks: readonly UpBlockSpatioTemporal[],
  branch?: number,
): Record<'before' | 'behind', UpPart[]> {
  const skips = skipsOf(blocks);
  if (branch !== undefined) checkBranch(branch, countBranches(blocks));
  const entry = branch === undefined ? 0 : skips - skipsOfBranch(branch);
  const parts = { before: [] as UpPart[], behind: [] as UpPart[] };
  let first = 0;
  for (const block of blocks) {
    const { numLayers } = block.config;
    const from = Math.min(Math.max(entry - first, 0), numLayers);
    const all = numLayers + 1;
    if (from > 0)
      parts.before.push({ block, layers: [0, from < numLayers ? from : all], skips: from });
    if (from < numLayers)
      parts.behind.push({ block, layers: [from, all], skips: numLayers - from });
    first += numLayers;
  }
  return parts;
}

/** The shape of the state that a branch keeps of latents `[B*F, h, w, C]`. */
export function stateShape(
  blocks: readonly UpBlockSpatioTemporal[],
  [frames, ...size]: readonly number[],
  branch: number,
): number[] {
  const { behind } = splitUpPath(blocks, branch);
  const [{ block, layers }] = behind;
  const { prevOutputChannel, outChannels } = block.config;
  const [h, w] = size.map((length) => Math.ceil(length / 2 ** (behind.length - 1)));
  return [frames, h, w, layers[0] === 0 ? prevOutputChannel : outChannels];
}
