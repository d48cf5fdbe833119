/** `svd setup webgpu`: brings Dawn, the WebGPU of Chromium, and the backend that runs on it. */
import { scriptArguments } from '../packages.ts';
import { fillFolder, removeEmptyRoot, removeFolders } from '../setup/folder.ts';
import { installPackages } from '../setup/packages.ts';
import type { SetupOptions } from '../tensorflow/setup.ts';
import { checkTools, runTool } from '../tool.ts';
import { backendPackage, dawnPackage, webgpuFolder } from './packages.ts';

const command = 'svd setup webgpu';

/**
 * Sets up the webgpu backend for this user. Goes on where an earlier call was stopped, and does
 * nothing when it is already set up. Downloads only from the npm registry.
 * @param options `log` receives a line about each step.
 * @returns The folder that now holds it.
 * @throws Error when npm is missing, a download fails, or this system has no build of Dawn.
 */
export function setUpWebgpu({ log = () => {} }: Pick<SetupOptions, 'log'> = {}): Promise<string> {
  return fillFolder({
    ...{ command, name: webgpuFolder, log },
    checkMachine: () => checkTools(command, ['npm']),
    async fill(folder) {
      const both = [dawnPackage, backendPackage]
        .map(({ name, version }) => `${name} ${version}`)
        .join(' and ');
      log(`Installing ${both} with npm (55 MB), without install scripts`);
      await installPackages(folder, [dawnPackage, backendPackage]);
      log('Looking for a graphics card');
    },
    async verify(folder) {
      const printed = await runTool(process.execPath, [...scriptArguments('webgpu/check'), folder]);
      return printed.trim().split('\n').at(-1) ?? '';
    },
  });
}

/**
 * Removes the folder of `setUpWebgpu`, complete or not.
 * @returns The folders that were removed.
 */
export async function removeWebgpu({
  log = () => {},
}: Pick<SetupOptions, 'log'> = {}): Promise<string[]> {
  const removed = await removeFolders([webgpuFolder], log);
  await removeEmptyRoot();
  return removed;
}
