/** How TensorFlow.js keeps buffers on a WebGPU device. */
import { fittingSize, LARGE } from '../../ops/webgpu/reuse.ts';
import { Allocator } from './arena.ts';

/** Commands that TensorFlow.js collects before the device gets them. */
const BATCH = 15;

/**
 * An allocator that takes the free buffer that fits, or a new one. What is freed can be taken once
 * its commands are with the device, which a large tensor sees to. Between blocks, free buffers go.
 */
export class BufferLists extends Allocator {
  private readonly sizes = new Map<number, number>();
  /** The number of free buffers of each size. */
  private readonly counts = new Map<number, number>();
  /** The sizes of freed buffers whose commands are collected. */
  private pending: number[] = [];
  /** Commands that are collected: each tensor is the output of one. */
  private commands = 0;
  private allocations = 0;
  private bytes = 0;
  touchedBytes = 0;

  allocate(bytes: number): number {
    if (bytes >= LARGE && this.fitting(bytes) === undefined) this.submit();
    const size = this.fitting(bytes);
    if (size === undefined) this.bytes += bytes;
    else this.count(size, -1);
    this.touchedBytes = Math.max(this.touchedBytes, this.bytes);
    this.sizes.set(this.allocations, size ?? bytes);
    if (++this.commands === BATCH) this.submit();
    return this.allocations++;
  }

  free(at: number): void {
    this.pending.push(this.sizes.get(at)!);
    this.sizes.delete(at);
    if (this.commands === 0) this.submit();
  }

  override settle(): void {
    this.submit();
    for (const [size, count] of this.counts) this.bytes -= size * count;
    this.counts.clear();
  }

  private fitting(bytes: number): number | undefined {
    return this.counts.has(bytes) ? bytes : fittingSize(bytes, this.counts.keys());
  }

  private count(size: number, change: 1 | -1): void {
    const count = (this.counts.get(size) ?? 0) + change;
    if (count > 0) this.counts.set(size, count);
    else this.counts.delete(size);
  }

  /** Gives the device the collected commands, so that what they use and is freed can be taken. */
  private submit(): void {
    for (const size of this.pending) this.count(size, 1);
    this.pending = [];
    this.commands = 0;
  }
}
