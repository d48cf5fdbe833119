/** Memory that one tensor after the other goes through, shared among threads. */

const SMALLEST = 2 ** 20;

/**
 * Hands out memory and takes it back for the next tensor. The system clears fresh memory page by page, which takes longer than to read, turn and
 * write what comes into it: converting 4.5 GB took 39 s with new arrays, half of it for that.
 */
export class Buffers {
  private readonly free: SharedArrayBuffer[] = [];
  private readonly taken = new WeakSet<ArrayBufferLike>();

  /** So many bytes, of any content, that begin where every element type may. */
  take(bytes: number): Uint8Array {
    this.free.sort((a, b) => a.byteLength - b.byteLength);
    let index = this.free.findIndex(({ byteLength }) => byteLength >= bytes);
    // None is large enough: a larger one takes the place of the largest, so that there are never more than were in use at once.
    if (index < 0) index = this.free.length - 1;
    const [found] = index < 0 ? [] : this.free.splice(index, 1);
    const buffer = found !== undefined && found.byteLength >= bytes ? found : new SharedArrayBuffer(Math.max(bytes, SMALLEST));
    this.taken.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Takes memory back, which nobody may use any more. What did not come from here is left alone. */
  give({ buffer }: ArrayBufferView): void {
    if (this.taken.delete(buffer)) this.free.push(buffer as SharedArrayBuffer);
  }
}
