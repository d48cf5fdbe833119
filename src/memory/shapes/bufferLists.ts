/** How TensorFlow.js keeps buffers on a WebGPU device. */
import { Allocator } from './arena.ts';

/** Commands that TensorFlow.js collects before the device gets them. */
const BATCH = 15;

/**
 * An allocator that takes a free buffer of exactly the size that is needed, or a new one. What is
 * freed can be taken once its commands are with the device. Between blocks, free buffers go.
 */
export class BufferLists extends Allocator {
  private readonly sizes = new Map<number, number>();
  private readonly counts = new Map<number, number>();
  private pending: { size: number; allocations: number }[] = [];
  private allocations = 0;
  private bytes = 0;
  touchedBytes = 0;

  allocate(bytes: number): number {
    this.submit(BATCH);
    const count = this.counts.get(bytes) ?? 0;
    if (count > 0) this.counts.set(bytes, count - 1);
    else this.bytes += bytes;
    this.touchedBytes = Math.max(this.touchedBytes, this.bytes);
    this.sizes.set(this.allocations, bytes);
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

  /** Makes free what was freed so many allocations ago. */
  private submit(ago: number): void {
    while (this.pending.length > 0 && this.pending[0].allocations + ago <= this.allocations) {
      const { size } = this.pending.shift()!;
      this.counts.set(size, (this.counts.get(size) ?? 0) + 1);
    }
  }
}
