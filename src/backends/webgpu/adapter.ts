/** Requests an adapter of WebGPU, in Node and in browsers. */
import type { Device } from './device.ts';

/** The parts of WebGPU's `GPUAdapter` that are used here. */
export interface Adapter {
  info: { vendor: string; architecture: string; description: string };
  isFallbackAdapter?: boolean;
  limits: Record<string, number>;
  requestDevice(descriptor: {
    requiredFeatures: string[];
    requiredLimits: Record<string, number>;
  }): Promise<Device>;
}

/** WebGPU's `GPU`. */
export interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
}

/** The name of an adapter in reports. */
export const adapterName = ({ info: { vendor, architecture, description } }: Adapter): string =>
  description || `${vendor} ${architecture}`.trim();

/** Matches the name of an adapter that is software. */
export const softwareAdapter = /swiftshader|llvmpipe|software|basic render/i;

/**
 * The fastest adapter.
 * @param allowSoftware Whether an adapter that is software may be taken: it is slower than wasm.
 * @throws When there is no adapter, or only one in software that is not allowed.
 */
export async function requestAdapter(gpu: Gpu, allowSoftware: boolean): Promise<Adapter> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no graphics adapter was found');
  const name = adapterName(adapter);
  const isSoftware =
    adapter.isFallbackAdapter || softwareAdapter.test(`${name} ${adapter.info.architecture}`);
  if (isSoftware && !allowSoftware)
    throw new Error(
      `its only adapter is software, ${name}, which is slower than wasm and has to be asked ` +
        'for by name',
    );
  return adapter;
}
