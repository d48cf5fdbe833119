/** The webgpu backend in Node: tfjs-backend-webgpu over Dawn, from the npm package `webgpu`. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { dataFolder } from '../../files/home.ts';
import { firstLineOf } from '../../text/messages.ts';
import { folderOf, versionIn } from '../packages.ts';
import type { Prepared, Request } from '../types.ts';
import { adapterName, type Gpu, requestAdapter } from './adapter.ts';
import {
  type Device,
  guardDevice,
  guardReads,
  largestTensor,
  type WebgpuBackend,
} from './guard.ts';

const backendPackage = '@tensorflow/tfjs-backend-webgpu';
const howToGet =
  `\`npm install webgpu@0.6.2 ${backendPackage}@4.22.0\` installs it. It needs a Vulkan, Metal ` +
  'or Direct3D 12 driver.';

/** The limits that are raised from the guaranteed minimum to those of the adapter. */
const raisedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
];

let current: { prepared: Prepared; device: Device } | undefined;

/**
 * Whether a driver is where Vulkan's loader looks for it on Linux. Without one, Dawn finds no
 * adapter and prints so to stderr.
 */
function hasVulkanDriver(): boolean {
  if (process.platform !== 'linux') return true;
  const { VK_DRIVER_FILES, VK_ADD_DRIVER_FILES, VK_ICD_FILENAMES, XDG_DATA_DIRS } = process.env;
  if (VK_DRIVER_FILES || VK_ADD_DRIVER_FILES || VK_ICD_FILENAMES) return true;
  const shared = (XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':');
  const folders = ['/etc', '/usr/local/etc', dataFolder() ?? [], ...shared].flat();
  return folders
    .map((folder) => join(folder, 'vulkan', 'icd.d'))
    .some(
      (folder) => existsSync(folder) && readdirSync(folder).some((file) => file.endsWith('.json')),
    );
}

/** Defines the `navigator.gpu` and the `GPU...` classes of a browser in this process. */
function installGlobals(webgpu: { create(options: string[]): Gpu; globals: object }): Gpu {
  const gpu = webgpu.create([]);
  Object.assign(globalThis, webgpu.globals);
  const scope = globalThis as { navigator?: object };
  scope.navigator ??= {};
  Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  return gpu;
}

/** Removes `navigator.gpu`: as long as it is reachable, Dawn keeps the process alive. */
function removeGpu(): void {
  const { navigator } = globalThis as { navigator?: { gpu?: Gpu } };
  if (navigator) delete navigator.gpu;
}

/**
 * Makes the webgpu backend ready.
 * @throws When it cannot be used. The message has the reason and the way to get it.
 */
export async function prepareWebgpu({ allowSoftware }: Request): Promise<Prepared> {
  if (current) return current.prepared;
  const folder = folderOf(backendPackage);
  const dawnFolder = folderOf('webgpu');
  if (folder === undefined || dawnFolder === undefined)
    throw new Error(`The webgpu backend is not installed. ${howToGet}`);
  try {
    if (!hasVulkanDriver()) throw new Error('no Vulkan driver is installed');
    const gpu = installGlobals(
      (await import('webgpu')) as unknown as { create(options: string[]): Gpu; globals: object },
    );
    const adapter = await requestAdapter(gpu, allowSoftware);
    const device = await adapter.requestDevice({
      requiredFeatures: [],
      requiredLimits: Object.fromEntries(raisedLimits.map((name) => [name, adapter.limits[name]])),
    });
    const check = guardDevice(device);
    const { WebGPUBackend } = (await import(backendPackage)) as {
      WebGPUBackend: new (device: Device, info: object) => WebgpuBackend;
    };
    // The package has registered its own, which requests another adapter, and features in a wrong
    // type.
    if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
    tf.registerBackend('webgpu', () => {
      const backend = new WebGPUBackend(device, adapter.info);
      guardReads(backend, check);
      return backend;
    });
    current = {
      device,
      prepared: {
        package: `${backendPackage} + webgpu`,
        version: `${versionIn(folder)} (webgpu ${versionIn(dawnFolder)})`,
        device: adapterName(adapter),
      },
    };
    return current.prepared;
  } catch (error) {
    removeGpu();
    throw new Error(`The webgpu backend is unusable (${firstLineOf(error)}). ${howToGet}`);
  }
}

/** The bytes of the largest tensor that the device takes; undefined before the backend is ready. */
export function largestWebgpuBuffer(): number | undefined {
  return current && largestTensor(current.device);
}

/** Frees the device with everything on it, so that the process can end. */
export function releaseWebgpu(): void {
  if (!current) return;
  tf.removeBackend('webgpu');
  current.device.destroy();
  current = undefined;
  removeGpu();
}
