/** The webgpu backend in Node: tfjs-backend-webgpu over Dawn, from the npm package `webgpu`. */
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { firstLineOf } from '../../text/messages.ts';
import { folderOf, versionIn } from '../packages.ts';
import type { Prepared, Request } from '../types.ts';
import { type Device, guardDevice, guardReads, type WebgpuBackend } from './guard.ts';

const backendPackage = '@tensorflow/tfjs-backend-webgpu';
const howToGet = `\`npm install webgpu@0.6.2 ${backendPackage}@4.22.0\` installs it, and a Vulkan, Metal or Direct3D 12 driver has to be there.`;

/** The parts of WebGPU that are used here. */
interface Adapter {
  info: { vendor: string; architecture: string; device: string; description: string };
  limits: Record<string, number>;
  features: Set<string>;
  requestDevice(descriptor: {
    requiredFeatures: string[];
    requiredLimits: Record<string, number>;
  }): Promise<Device>;
}
interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
}

/** What the backend needs above the guaranteed minimum: as much as the adapter has. */
const raisedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
];

let current: { prepared: Prepared; device: Device; largestBuffer: number } | undefined;

/**
 * Where Vulkan's loader looks for drivers on Linux. Without one Dawn finds nothing and says so on
 * stderr, whoever asks.
 */
function hasVulkanDriver(): boolean {
  if (process.platform !== 'linux') return true;
  const { VK_DRIVER_FILES, VK_ADD_DRIVER_FILES, VK_ICD_FILENAMES, XDG_DATA_HOME, XDG_DATA_DIRS } =
    process.env;
  if (VK_DRIVER_FILES || VK_ADD_DRIVER_FILES || VK_ICD_FILENAMES) return true;
  const shared = (XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':');
  const folders = [
    '/etc',
    '/usr/local/etc',
    XDG_DATA_HOME || join(homedir(), '.local', 'share'),
    ...shared,
  ];
  return folders
    .map((folder) => join(folder, 'vulkan', 'icd.d'))
    .some(
      (folder) => existsSync(folder) && readdirSync(folder).some((file) => file.endsWith('.json')),
    );
}

/** Gives the process the `navigator.gpu` and the `GPU...` classes that a browser has. */
function installGlobals(webgpu: { create(options: string[]): Gpu; globals: object }): Gpu {
  const gpu = webgpu.create([]);
  Object.assign(globalThis, webgpu.globals);
  const scope = globalThis as { navigator?: object };
  scope.navigator ??= {};
  Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  return gpu;
}

/** Takes `navigator.gpu` away again: Dawn keeps the process alive as long as it is reachable. */
function removeGpu(): void {
  const { navigator } = globalThis as { navigator?: { gpu?: Gpu } };
  if (navigator) delete navigator.gpu;
}

/**
 * Makes the webgpu backend ready.
 * @throws One sentence with the reason and how to get the backend.
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
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter === null) throw new Error('no graphics adapter was found');
    const { vendor, architecture, description } = adapter.info;
    const deviceName = description || `${vendor} ${architecture}`.trim();
    if (
      !allowSoftware &&
      /swiftshader|llvmpipe|software|basic render/i.test(`${deviceName} ${architecture}`)
    ) {
      throw new Error(
        `its only adapter is software, ${deviceName}, which is slower than wasm and has to be asked for by name`,
      );
    }
    const device = await adapter.requestDevice({
      requiredFeatures: [],
      requiredLimits: Object.fromEntries(raisedLimits.map((name) => [name, adapter.limits[name]])),
    });
    const check = guardDevice(device);
    const { WebGPUBackend } = (await import(backendPackage)) as {
      WebGPUBackend: new (device: Device, info: object) => WebgpuBackend;
    };
    // The package has registered its own, which asks for an adapter once more and for a list of
    // features that is not one.
    if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
    tf.registerBackend('webgpu', () => {
      const backend = new WebGPUBackend(device, adapter.info);
      guardReads(backend, check);
      return backend;
    });
    current = {
      device,
      largestBuffer: Math.min(
        adapter.limits.maxBufferSize,
        adapter.limits.maxStorageBufferBindingSize,
      ),
      prepared: {
        package: `${backendPackage} + webgpu`,
        version: `${versionIn(folder)} (webgpu ${versionIn(dawnFolder)})`,
        device: deviceName,
      },
    };
    return current.prepared;
  } catch (error) {
    removeGpu();
    throw new Error(`The webgpu backend is unusable (${firstLineOf(error)}). ${howToGet}`);
  }
}

/** The bytes of the largest tensor that the device takes, once the backend is ready. */
export function largestWebgpuBuffer(): number | undefined {
  return current?.largestBuffer;
}

/** Frees the device and everything on it, so that the process can end. */
export function releaseWebgpu(): void {
  if (!current) return;
  tf.removeBackend('webgpu');
  current.device.destroy();
  current = undefined;
  removeGpu();
}
