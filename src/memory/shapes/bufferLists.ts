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
  private pending: { size: number; allocations: number }[] = [];
  private allocations = 0;
  private bytes = 0;
  touchedBytes = 0;

  allocate(bytes: number): number {
    this.submit(BATCH);
    if (bytes >= LARGE && this.fitting(bytes) === undefined) this.submit(0);
    const size = this.fitting(bytes);
    if (size === undefined) this.bytes += bytes;
    else this.count(size, -1);
    this.touchedBytes = Math.max(this.touchedBytes, this.bytes);
    this.sizes.set(this.allocations, size ?? bytes);
    return this.allocations++;
  }

  free(at: number): void {
    this.pending.push({ size: this.sizes.get(at)!, allocations: this.allocations });
    this.sizes.delete(at);
  }

  override settle(): void {
    this.submit(0);
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

  /** Makes free what was freed so many allocations ago. */
  private submit(ago: number): void {
    while (this.pending.length > 0 && this.pending[0].allocations + ago <= this.allocations)
      this.count(this.pending.shift()!.size, 1);
  }
}
