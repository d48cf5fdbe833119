/** What pipelines do with LoRA, in Node and in browsers. */
export * from './load.ts';
export type { LoraFile } from './loraFile.ts';
export { loraLayers } from './targets.ts';
