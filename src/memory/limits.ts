/** How much memory there is, in Node. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { largestWebgpuBuffer } from '../backends/webgpu/backend.ts';
import type { Device } from './shapes/allocators.ts';

/**
 * Memory that a call may take. A limit that is left out is not known and taken as infinite, that of
 * WebAssembly's heap as its 4 GiB.
 */
export interface MemoryLimits {
  /** Bytes for the process, including those that it has already. */
  processBytes: number;
  /** Bytes for tensors on the graphics card or in WebAssembly's heap. */
  deviceBytes?: number;
  /** Bytes of the largest tensor that the device takes. */
  tensorBytes?: number;
}

/**
 * Many of TensorFlow's kernels for graphics cards count the elements of a tensor in 32 bits. All 25
 * frames of 576x1024 decoded together have more.
 */
const CARD_TENSOR_BYTES = 4 * (2 ** 31 - 1);

/**
 * Finds out what memory there is for a device.
 * @param processBytes What the process may take. Default: what it has and can still get.
 */
export function memoryLimits(device: Device, processBytes = processLimit('/')): MemoryLimits {
  if (device === 'webgpu') return { processBytes, tensorBytes: largestWebgpuBuffer() };
  if (device !== 'tensorflow-gpu') return { processBytes };
  return { processBytes, deviceBytes: freeCardBytes(), tensorBytes: CARD_TENSOR_BYTES };
}

/**
 * The memory that this process has and can still get: the machine's, or that of its control group
 * (a container's limit).
 * @param root Where `/proc` and `/sys` are.
 */
export function processLimit(root: string): number {
  const group = controlGroupRoom(root);
  const machine = available(root);
  return process.memoryUsage.rss() + Math.min(machine, group);
}

/** Memory that is available without swapping. */
function available(root: string): number {
  const lines = text(join(root, 'proc/meminfo'));
  const kilobytes = lines && /^MemAvailable:\s+(\d+)/m.exec(lines)?.[1];
  if (kilobytes) return 1024 * Number(kilobytes);
  // macOS does not count memory as free that it would return at once.
  return process.platform === 'darwin' ? totalmem() : freemem();
}

/**
 * Memory that the control groups of this process still allow. Pages of files count as free, because
 * the system takes them back when it needs them.
 */
function controlGroupRoom(root: string): number {
  const groups = text(join(root, 'proc/self/cgroup')) ?? '';
  const second = /^0::(.*)$/m.exec(groups)?.[1];
  const first = /^\d+:(?:.*,)?memory(?:,.*)?:(.*)$/m.exec(groups)?.[1];
  const rooms = [Number.POSITIVE_INFINITY];
  const visit = (
    folder: string,
    path: string,
    limitName: string,
    usedName: string,
    pages: RegExp,
  ) => {
    for (let at = path; ; at = dirname(at)) {
      const read = (name: string) => text(join(root, folder, at, name));
      // NaN for 'max'.
      const [limit, used] = [limitName, usedName].map((name) => Number(read(name) ?? Number.NaN));
      let files = 0;
      for (const [, bytes] of (read('memory.stat') ?? '').matchAll(pages)) files += Number(bytes);
      if (Number.isFinite(limit) && Number.isFinite(used)) rooms.push(limit - used + files);
      if (at === '/' || at === '.') return;
    }
  };
  if (second !== undefined) {
    const pages = /^(?:in)?active_file (\d+)$/gm;
    visit('sys/fs/cgroup', second, 'memory.max', 'memory.current', pages);
  }
  if (first !== undefined) {
    const names = ['memory.limit_in_bytes', 'memory.usage_in_bytes'] as const;
    visit('sys/fs/cgroup/memory', first, ...names, /^total_(?:in)?active_file (\d+)$/gm);
  }
  return Math.max(0, Math.min(...rooms));
}

/** Free memory of the first NVIDIA card, by nvidia-smi; undefined without it. */
function freeCardBytes(): number | undefined {
  const card = process.env.CUDA_VISIBLE_DEVICES?.split(',')[0] || '0';
  const args = ['--query-gpu=memory.free', '--format=csv,noheader,nounits', `--id=${card}`];
  try {
    const mebibytes = Number(
      execFileSync('nvidia-smi', args, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 10_000,
      }).trim(),
    );
    return Number.isFinite(mebibytes) && mebibytes > 0 ? mebibytes * 2 ** 20 : undefined;
  } catch {
    return undefined;
  }
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
