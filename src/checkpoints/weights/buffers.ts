/**
 * Memory that one tensor after the other goes through, shared among threads, in which weights are
 * turned by WebAssembly.
 */
import { type Elements, newMemory, type TransposeMemory } from './layout.ts';
import { transposeWasm } from './transposeWasm.ts';

const PAGE = 2 ** 16;
/** As much as WebAssembly can address. It grows to what is in use at once. */
const MOST_PAGES = 2 ** 16;
/** Where a buffer may begin: at the line of a cache. */
const ALIGNMENT = 64;

/** Rows and columns that are turned at once. */
const BLOCK = 8;

/** Memory for tensors that are read, turned and written. */
export interface TensorMemory extends TransposeMemory {
  /**
   * Takes memory back, which nobody may use any more. What did not come from here is left alone.
   */
  give(view: ArrayBufferView): void;
}

/** Memory of each tensor's own, where nobody says when it has been written. */
export const ownMemory: TensorMemory = { ...newMemory, give: () => {} };

type Transpose = (from: number, rows: number, to: number, columns: number) => void;

/**
 * Hands out memory and takes it back for the next tensor. The system clears fresh memory page by
 * page, which takes longer than to read, turn and write what comes into it: converting 4.5 GB took
 * 39 s with new arrays, half of it for that.
 */
export class Buffers implements TensorMemory {
  private readonly memory = new WebAssembly.Memory({
    initial: 1,
    maximum: MOST_PAGES,
    shared: true,
  });
  private readonly turn: Transpose;
  /** What of the memory is free, in its order, no two beside each other. */
  private free = [{ start: 0, end: PAGE }];
  /** Bytes that are taken, by where they begin. */
  private readonly taken = new Map<number, number>();
  /** The memory, as JavaScript has it, is another object each time that it has grown. */
  private readonly views = new WeakSet<ArrayBufferLike>();

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(transposeWasm, 'base64'));
    this.turn = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports
      .transpose as Transpose;
  }

  /** So many bytes, of any content, that begin where every element type may. */
  take(bytes: number): Uint8Array {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    let place = this.free.find(({ start, end }) => end - start >= size);
    if (place === undefined) {
      const old = this.memory.grow(Math.ceil(size / PAGE)) * PAGE;
      this.release(old, this.memory.buffer.byteLength);
      place = this.free.at(-1)!;
    }
    const { start } = place;
    place.start += size;
    this.free = this.free.filter(({ start, end }) => start < end);
    this.taken.set(start, size);
    this.views.add(this.memory.buffer);
    return new Uint8Array(this.memory.buffer, start, bytes);
  }

  give({ buffer, byteOffset }: ArrayBufferView): void {
    const size = this.views.has(buffer) ? this.taken.get(byteOffset) : undefined;
    if (size === undefined) return;
    this.taken.delete(byteOffset);
    this.release(byteOffset, byteOffset + size);
  }

  private release(start: number, end: number): void {
    const places = [...this.free, { start, end }].sort((a, b) => a.start - b.start);
    this.free = [];
    for (const place of places) {
      const before = this.free.at(-1);
      if (before?.end === place.start) before.end = place.end;
      else this.free.push(place);
    }
  }

  /**
   * Transposes values of two bytes, by blocks of eight by eight, in a quarter of the time that
   * JavaScript takes.
   */
  transpose(source: Elements, from: Uint32Array, result: Elements, to: Uint32Array): boolean {
    const here = this.views.has(source.buffer) && this.views.has(result.buffer);
    if (!here || source.BYTES_PER_ELEMENT !== 2 || from.length % BLOCK > 0 || to.length % BLOCK > 0)
      return false;
    const addresses = [
      from.map((at) => source.byteOffset + 2 * at),
      to.map((at) => result.byteOffset + 2 * at),
    ];
    const [rows, columns] = addresses.map((list) => {
      const bytes = this.take(list.byteLength);
      new Uint32Array(bytes.buffer, bytes.byteOffset, list.length).set(list);
      return bytes;
    });
    this.turn(rows.byteOffset, from.length, columns.byteOffset, to.length);
    this.give(rows);
    this.give(columns);
    return true;
  }
}
