/** What `--card` runs on, and what it compares with. */
import { spawnSync } from 'node:child_process';
import { type BackendChoice, type BackendReport, listBackends } from '../../src/backends/index.ts';
import { cardObstacle } from '../../src/backends/tensorflow/card.ts';
import { softwareAdapter } from '../../src/backends/webgpu/adapter.ts';
import type { Device } from '../../src/memory/shapes/allocators.ts';
import { installedPython } from '../prepare.ts';

/** A backend to measure. */
export interface Target {
  backend: BackendChoice;
  /** As the memory plan calls it. */
  device: Device;
  /** The card or processor. */
  name: string;
  /** Versions of the backend. */
  version: string;
  onCard: boolean;
}

/** The target that a report stands for; undefined if it is no card. */
function cardOf({ name, available, ...report }: BackendReport): Target | undefined {
  if (!available) return undefined;
  const common = { name: report.device ?? '', version: report.version ?? '', onCard: true };
  const forCards = /gpu/.test(report.package) && report.reason === undefined;
  if (name === 'tensorflow' && forCards && cardObstacle() === undefined)
    return { ...common, backend: 'cuda', device: 'tensorflow-gpu' };
  if (name === 'webgpu' && !softwareAdapter.test(common.name))
    return { ...common, backend: 'webgpu', device: 'webgpu' };
  return undefined;
}

/**
 * Every backend that computes on a card; without one, the fastest on the processor.
 * @throws Error if no backend works.
 */
export function targetsAmong(reports: BackendReport[]): Target[] {
  const cards = reports.map(cardOf).filter((target) => target !== undefined);
  if (cards.length > 0) return cards;
  const report = reports.find(({ name, available }) => available && name !== 'webgpu');
  if (!report) throw new Error('No backend works: `svd backends` says why.');
  const { name, device = '', version = '' } = report;
  const simulated = name === 'tensorflow' ? 'tensorflow-cpu' : (name as Device);
  return [{ backend: name, device: simulated, name: device, version, onCard: false }];
}

/** The same of this machine. */
export const findTargets = async (): Promise<Target[]> => targetsAmong(await listBackends());

/** diffusers on this machine. */
export interface Peer {
  python: string;
  device?: 'cuda';
  dtype: 'float16' | 'float32';
}

/**
 * diffusers where it is installed already: on a card in float16, on the processor in float32.
 * Otherwise the reason why there is none.
 */
export function findPeer(onCard: boolean): Peer | string {
  const python = installedPython();
  if (python === undefined) return 'no Python with diffusers is installed: set PYTHON';
  const code = 'import torch, diffusers; print(torch.cuda.is_available())';
  const { status, stdout } = spawnSync(python, ['-c', code], { encoding: 'utf8' });
  if (status !== 0) return `${python} has no torch with diffusers`;
  if (!onCard) return { python, dtype: 'float32' };
  if (stdout.trim() !== 'True') return `torch of ${python} finds no CUDA device`;
  return { python, device: 'cuda', dtype: 'float16' };
}
