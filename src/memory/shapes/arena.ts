/**
 * How allocators lay out memory: what a program's tensors need beyond their bytes because freed
 * gaps do not fit.
 */

/**
 * A trace of a computation: a number from 0 on allocates so many bytes, `~n` frees what the n-th
 * allocation of the trace took.
 */
export type Trace = number[];

/** How an allocator divides memory. */
export interface AllocatorRules {
  /** Sizes are rounded up to multiples of it. */
  granule: number;
  /**
   * Bytes of the first region; each further one is twice as large. Without it, there is one region
   * that grows.
   */
  firstRegion?: number;
  /**
   * A gap is taken whole, unless it is twice as large as needed or so many bytes would be wasted.
   * Without it, gaps are always divided.
   */
  wholeBelow?: number;
}

interface Gap {
  at: number;
  size: number;
}

interface Region {
  at: number;
  /** Where the part begins that was never used. */
  top: number;
}

/** Regions lie so far apart that their gaps never meet. */
const APART = 2 ** 44;

/** Memory in which traces of computations run. */
export abstract class Allocator {
  /** The most bytes taken from the system at any time, if it gets none back but by `settle`. */
  abstract readonly touchedBytes: number;
  /** Allocates, and returns the address. */
  abstract allocate(bytes: number): number;
  /** Frees what lies at an address. */
  abstract free(at: number): void;
  /** Does what happens between two blocks of a model. */
  settle(): void {}

  /**
   * Runs a trace, or a part of it.
   * @param addresses Where the allocations of the parts before lie. Those of this part are added;
   * what is freed becomes -1.
   */
  run(trace: Trace, addresses: number[] = [], from = 0, to = trace.length): number[] {
    for (let i = from; i < to; i++) {
      const event = trace[i];
      if (event >= 0) addresses.push(this.allocate(event));
      else this.release(addresses, ~event);
    }
    return addresses;
  }

  /** Frees one of the allocations of a trace, unless it has been. */
  release(addresses: number[], allocation: number): void {
    if (addresses[allocation] >= 0) this.free(addresses[allocation]);
    addresses[allocation] = -1;
  }
}

/** An allocator that takes the smallest gap that is large enough and joins gaps that meet. */
export class Arena extends Allocator {
  private readonly rules: AllocatorRules;
  private readonly gaps: Gap[] = []; // by address
  private readonly regions: Region[] = [];
  private readonly sizes = new Map<number, number>();
  private nextRegion: number;

  constructor(rules: AllocatorRules) {
    super();
    this.rules = rules;
    this.nextRegion = rules.firstRegion ?? APART / 2;
  }

  get touchedBytes(): number {
    return this.regions.reduce((sum, { at, top }) => sum + top - at, 0);
  }

  allocate(bytes: number): number {
    const { granule, wholeBelow = 0 } = this.rules;
    const size = Math.max(1, Math.ceil(bytes / granule)) * granule;
    const index = this.smallestGap(size) ?? this.grow(size);
    const gap = this.gaps[index];
    const { at } = gap;
    const divided = gap.size >= 2 * size || gap.size - size >= wholeBelow;
    const taken = divided ? size : gap.size;
    gap.at += taken;
    gap.size -= taken;
    if (gap.size === 0) this.gaps.splice(index, 1);
    this.sizes.set(at, taken);
    const region = this.regions[Math.floor(at / APART)];
    region.top = Math.max(region.top, at + size);
    return at;
  }

  free(at: number): void {
    const size = this.sizes.get(at)!;
    this.sizes.delete(at);
    let index = this.gaps.findIndex((gap) => gap.at > at);
    if (index < 0) index = this.gaps.length;
    const [before, after] = [this.gaps[index - 1], this.gaps[index]];
    const joinsAfter = after?.at === at + size;
    if (before && before.at + before.size === at) {
      before.size += size + (joinsAfter ? after.size : 0);
      if (joinsAfter) this.gaps.splice(index, 1);
    } else if (joinsAfter) {
      after.at = at;
      after.size += size;
    } else {
      this.gaps.splice(index, 0, { at, size });
    }
  }

  private smallestGap(size: number): number | undefined {
    let found: number | undefined;
    for (const [i, gap] of this.gaps.entries()) {
      if (gap.size >= size && (found === undefined || gap.size < this.gaps[found].size)) found = i;
    }
    return found;
  }

  /** Adds a region, and returns the index of its gap. */
  private grow(size: number): number {
    const before = this.nextRegion;
    while (size > this.nextRegion) this.nextRegion *= 2;
    const at = this.regions.length * APART;
    this.regions.push({ at, top: at });
    this.gaps.push({ at, size: this.nextRegion });
    if (this.nextRegion === before) this.nextRegion *= 2;
    return this.gaps.length - 1;
  }
}
