/** What pipelines and commands do with LoRA, in Node and in browsers. */
export * from './load.ts';
export type { LoraFile } from './loraFile.ts';
export { type LoraRanks, ranksIn, ranksOn } from './ranks.ts';
export { loraLayers } from './targets.ts';
