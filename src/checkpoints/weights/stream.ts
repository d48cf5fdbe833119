/**
 * Weights that are read from a checkpoint block by block while their model computes, and freed
 * behind it.
 */

import type { AnyBlock } from '../../layers/block.ts';
import type { Parameter } from '../../layers/parameter.ts';
import type { StepWeights } from '../../layers/steps.ts';
import { releaseValues } from '../../layers/weights.ts';
import { UploadArena } from './memory.ts';
import { type WeightDtype, type WeightReader, weightReader } from './reader.ts';
import type { WeightSource } from './source.ts';

type Reading = ReturnType<WeightReader>;

/** The weights of one block, on their way. */
interface Ahead {
  path: string;
  readings: Reading[];
}

/**
 * Streams the weights of a built model whose names and shapes are those of `source`. While a block
 * computes, the bytes of the next one are read: beside the weights of one block, memory holds those
 * bytes.
 */
export class WeightStream implements StepWeights {
  private readonly source: WeightSource;
  private readonly parameters = new Map<string, Parameter[]>();
  private readonly following = new Map<string, string>();
  private readonly arena: UploadArena;
  private readonly read: WeightReader;
  private readonly model: AnyBlock;
  private ahead?: Ahead;

  /**
   * @param orders The paths of the blocks in the order in which each computation of the model runs
   * them, over and over. One that comes unexpectedly is read when it is needed.
   */
  constructor(
    model: AnyBlock,
    source: WeightSource,
    orders: string[][],
    weightDtype: WeightDtype = 'float32',
  ) {
    this.model = model;
    this.source = source;
    for (const order of orders) {
      for (const [i, path] of order.entries())
        this.following.set(path, order[(i + 1) % order.length]);
    }
    const blockBytes = orders
      .flat()
      .map((path) =>
        UploadArena.bytesFor(this.parametersOf(path).map(({ key }) => source.info(key).bytes)),
      );
    this.arena = new UploadArena(Math.max(...blockBytes));
    this.read = weightReader(source, weightDtype, this.arena);
  }

  /**
   * The parameters of a block by the keys of the model, in the order in which the source reads them
   * fastest.
   */
  private parametersOf(path: string): Parameter[] {
    let known = this.parameters.get(path);
    if (known === undefined) {
      const places = new Map(this.source.names().map((name, place) => [name, place]));
      known = this.model.parameters().filter(({ key }) => key.startsWith(`${path}.`));
      known.sort((a, b) => places.get(a.key)! - places.get(b.key)!);
      this.parameters.set(path, known);
    }
    return known;
  }

  /**
   * Asks for all bytes of a block at once, so that they are read also while a backend keeps the
   * event loop waiting.
   */
  private start(path: string): Ahead {
    const readings = this.parametersOf(path).map(({ key, layout, computeDtype }) =>
      this.read(key, layout, computeDtype),
    );
    for (const reading of readings) reading.catch(() => {}); // looked at when its turn comes
    return { path, readings };
  }

  /** The block behind that at `path`, of those that run. */
  private next(path: string, runs?: ReadonlySet<string>): string | undefined {
    let next = this.following.get(path);
    while (next !== undefined && next !== path && runs?.has(next) === false)
      next = this.following.get(next);
    return next;
  }

  /**
   * Brings the weights of the block at `path` into memory, then begins to read the next. @throws
   * CheckpointError that names the tensor.
   */
  async load(path: string, signal?: AbortSignal, runs?: ReadonlySet<string>): Promise<void> {
    if (this.ahead?.path !== path) {
      await this.settle();
      this.ahead = this.start(path);
    }
    const { readings } = this.ahead!;
    try {
      for (const [i, { variable }] of this.parametersOf(path).entries()) {
        const take = await readings[i];
        signal?.throwIfAborted();
        const tensor = take();
        variable.write(tensor);
        tensor.dispose(); // the variable keeps the data
      }
    } catch (error) {
      await this.settle();
      this.release(path);
      throw error;
    }
    this.ahead = undefined;
    this.arena.reset();
    const next = this.next(path, runs);
    if (next !== undefined) this.ahead = this.start(next);
  }

  /** Frees the weights of the block at `path`. */
  release(path: string): void {
    releaseValues(this.parametersOf(path));
  }

  /** Waits until nothing is being read. */
  private async settle(): Promise<void> {
    await Promise.allSettled(this.ahead?.readings ?? []);
    this.ahead = undefined;
    this.arena.reset();
  }

  /** Frees what has been read ahead. The source is the caller's to close, after this. */
  async close(): Promise<void> {
    await this.settle();
    this.arena.free();
  }
}
