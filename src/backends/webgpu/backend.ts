/** The webgpu backend in Node: tfjs-backend-webgpu over Dawn, from the npm package `webgpu`. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { dataFolder } from '../../files/home.ts';
import { firstLineOf } from '../../text/messages.ts';
import { requireWithTfjs, versionIn } from '../packages.ts';
import { hasDriver } from '../tensorflow/card.ts';
import type { Prepared, Request } from '../types.ts';
import { adapterName, type Gpu, requestAdapter } from './adapter.ts';
import type { Device, WebgpuBackend } from './device.ts';
import { type DeviceGuard, guardBackend, guardDevice, largestTensor } from './guard.ts';
import { type WebgpuPackages, webgpuPackages } from './packages.ts';

/** The limits that are raised from the guaranteed minimum to those of the adapter. */
const raisedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
];

let current: { prepared: Prepared; device: Device; guard: DeviceGuard } | undefined;

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

/** Whether Linux has a graphics card. Without one, every driver computes in software. */
function hasCard(): boolean {
  if (process.platform !== 'linux' || hasDriver()) return true;
  const devices = existsSync('/dev/dri') ? readdirSync('/dev/dri') : [];
  return devices.some((name) => name.startsWith('renderD'));
}

/** The modules of the two packages. */
interface Webgpu {
  dawn: { create(options: string[]): Gpu; globals: object };
  backend: { WebGPUBackend: new (device: Device, info: object) => WebgpuBackend };
}

/**
 * Loads the packages, which finds no card yet.
 * @throws Error if one is missing or cannot run here.
 */
export async function loadWebgpu({ dawn, backend }: WebgpuPackages): Promise<Webgpu> {
  if (dawn === undefined || backend === undefined) throw new Error('it is not installed');
  return {
    dawn: await import(pathToFileURL(join(dawn, 'index.js')).href),
    backend: requireWithTfjs(backend) as Webgpu['backend'],
  };
}

/** Dawn, made once: while it is collected, using another one can end the process. */
let instance: Gpu | undefined;

/** Defines the `navigator.gpu` and the `GPU...` classes of a browser in this process. */
function installGlobals(dawn: Webgpu['dawn']): Gpu {
  instance ??= dawn.create([]);
  Object.assign(globalThis, dawn.globals);
  const scope = globalThis as { navigator?: object };
  scope.navigator ??= {};
  Object.defineProperty(scope.navigator, 'gpu', { value: instance, configurable: true });
  return instance;
}

/** Removes `navigator.gpu`: as long as it is reachable, Dawn keeps the process alive. */
function removeGpu(): void {
  const { navigator } = globalThis as { navigator?: { gpu?: Gpu } };
  if (navigator) delete navigator.gpu;
}

/**
 * Makes the webgpu backend ready, on another device if the one it had was lost.
 * @throws When it cannot be used. The message has the reason and the way to get it.
 */
export async function prepareWebgpu({ allowSoftware }: Request): Promise<Prepared> {
  if (current?.guard.lost) releaseWebgpu();
  if (current) return current.prepared;
  const packages = webgpuPackages();
  if (packages.dawn === undefined || packages.backend === undefined)
    throw new Error('The webgpu backend is not installed. `svd setup webgpu` sets it up.');
  return prepareWebgpuFrom(packages, allowSoftware).catch((error) => {
    throw new Error(
      `The webgpu backend is unusable (${firstLineOf(error)}). It needs a graphics card with a ` +
        'driver for Vulkan, Metal or Direct3D 12.',
    );
  });
}

/** The same with packages that are at these places. @throws Error with the reason. */
export async function prepareWebgpuFrom(
  packages: WebgpuPackages,
  allowSoftware: boolean,
): Promise<Prepared> {
  // Where there is nothing to find, Dawn prints so: it is not loaded.
  if (!hasVulkanDriver()) throw new Error('no Vulkan driver is installed');
  if (!allowSoftware && !hasCard()) throw new Error('this machine has no graphics card');
  try {
    const { dawn, backend } = await loadWebgpu(packages);
    const adapter = await requestAdapter(installGlobals(dawn), allowSoftware);
    const device = await adapter.requestDevice({
      requiredFeatures: [],
      requiredLimits: Object.fromEntries(raisedLimits.map((name) => [name, adapter.limits[name]])),
    });
    const guard = guardDevice(device);
    // The package has registered its own, which requests another adapter, and features in a wrong
    // type.
    if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
    tf.registerBackend('webgpu', () => {
      const webgpu = new backend.WebGPUBackend(device, adapter.info);
      guardBackend(webgpu, device, guard);
      return webgpu;
    });
    const versions = [packages.backend, packages.dawn].map((folder) => versionIn(folder!));
    const prepared = {
      package: '@tensorflow/tfjs-backend-webgpu + webgpu',
      version: `${versions[0]} (webgpu ${versions[1]})`,
      device: adapterName(adapter),
    };
    current = { device, guard, prepared };
    return prepared;
  } catch (error) {
    removeGpu();
    throw error;
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
  current.guard.release();
  current = undefined;
  removeGpu();
}
