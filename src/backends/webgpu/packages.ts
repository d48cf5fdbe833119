/** The packages of the webgpu backend in Node, and where they are. */
import { folderOf } from '../packages.ts';
import { foundFolder } from '../setup/folder.ts';
import { type PinnedPackage, packageIn } from '../setup/packages.ts';

/** Dawn, the WebGPU of Chromium, for Node. */
export const dawnPackage: PinnedPackage = {
  name: 'webgpu',
  version: '0.6.2',
  integrity:
    'sha512-3L4GfmqJLvYUIEWJngEQY+2HQiUlAFkg8+P8NDDj3Xx5hHHIFO/r8JW+ynfqBj7kHN4mbnwO74uB+lrRtLhp4Q==',
};
/** The backend of TensorFlow.js that runs on it. */
export const backendPackage: PinnedPackage = {
  name: '@tensorflow/tfjs-backend-webgpu',
  version: '4.22.0',
  integrity:
    'sha512-lvIc7Af4Tl2BCdYp43iQmSCRq3asaKT0q2xaErphXiUZ+jqeB0bQa0ZvQys1Xatvto0U4/c90DVsHPfvkn5ftg==',
};

/** The folder of `svd setup webgpu`, by the versions in it. */
export const webgpuFolder = `webgpu-${dawnPackage.version}-tfjs-backend-webgpu-${backendPackage.version}`;

/** The folders of the two packages, as far as they are installed. */
export interface WebgpuPackages {
  dawn: string | undefined;
  backend: string | undefined;
}

/** Where the two packages are: in that folder, otherwise in the project. */
export function webgpuPackages(folder = foundFolder(webgpuFolder)): WebgpuPackages {
  const find = ({ name }: PinnedPackage) => (folder ? packageIn(folder, name) : folderOf(name));
  return { dawn: find(dawnPackage), backend: find(backendPackage) };
}
