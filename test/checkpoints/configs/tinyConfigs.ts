/** The configs of the checkpoint of this package, as text, by their paths in it. */
import { readFileSync } from 'node:fs';
import { configFiles } from '../../../src/checkpoints/diffusers/names.ts';

const tiny = new URL('../../../weights/tiny/', import.meta.url);

export const tinyConfigs: ReadonlyMap<string, string> = new Map(
  configFiles.map((file) => [file, readFileSync(new URL(file, tiny), 'utf8')]),
);
