/** Converting checkpoints from one format to another. */
export { type Conversion, type ConvertOptions, convertCheckpoint } from './convertCheckpoint.ts';
export type { QuantizeTo } from './quantize.ts';
export type { ComponentError } from './target.ts';
