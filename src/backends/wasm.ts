/** The wasm backend: works after `npm install` on any machine. */
import * as tf from '@tensorflow/tfjs';
import { folderOf, processorName, versionIn } from './packages.ts';
import type { BackendOptions, Prepared } from './types.ts';

/** Makes the wasm backend ready. */
export async function prepareWasm(_options: BackendOptions): Promise<Prepared> {
  const packageName = '@tensorflow/tfjs-backend-wasm';
  const folder = folderOf(packageName);
  if (folder === undefined) throw new Error(`The wasm backend is not installed. \`npm install ${packageName}@4.22.0\` installs it.`);
  await import('@tensorflow/tfjs-backend-wasm');
  void tf;
  return { package: packageName, version: versionIn(folder), device: processorName() };
}
