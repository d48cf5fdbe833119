/** Animates many pictures one after the other, with one pipeline. */

import { checkGenerateOptions } from '../pipelines/options.ts';
import type { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import { unlessAborted } from '../pipelines/turns.ts';
import type {
  GenerateOptions,
  ImageInput,
  OutputType,
  Progress,
  Videos,
} from '../pipelines/types.ts';
import type { Generator } from '../random/generator.ts';
import { checkArgument } from '../text/options.ts';

/** A picture of `generateMany` with options of its own. */
export interface PictureCall<T extends OutputType = 'image'> {
  /** One picture, a list (one batch), or a tensor `[N, H, W, 3]` with values in [0, 1]. */
  image: ImageInput;
  /** Options for it, before those for all. A function is called when its turn comes. */
  options?: PictureOptions<T> | (() => PictureOptions<T> | Promise<PictureOptions<T>>);
}

/** Options of one picture: those of `generate`. */
export type PictureOptions<T extends OutputType = 'image'> = Omit<
  GenerateOptions,
  'returnDict' | 'outputType'
> & {
  /** Form of the result. */
  outputType?: T;
};

/**
 * A picture of `generateMany`: itself, with options of its own, or a function that reads it, which
 * is called while the picture before is animated.
 */
export type ManyPicture<T extends OutputType = 'image'> =
  | ImageInput
  | PictureCall<T>
  | (() => ImageInput | PictureCall<T> | Promise<ImageInput | PictureCall<T>>);

/** Options of `generateMany`: those of `generate`, for every picture. */
export interface ManyOptions<T extends OutputType = 'image'>
  extends Omit<GenerateOptions, 'returnDict' | 'outputType' | 'onProgress' | 'resumeFrom'> {
  /** Form of the results. Default `image`. */
  outputType?: T;
  /** Called after each finished part of a picture, with the index of the picture. */
  onProgress?: (progress: Progress, index: number) => void;
}

/** What has become of one picture: it has a `result` or an `error`. */
export interface ManyOutcome<P, T extends OutputType = 'image'> {
  /** The picture, as it was passed. */
  picture: P;
  /** Its place, from 0 on. */
  index: number;
  /** Its videos, in the form of `outputType`. Tensors are the caller's to dispose. */
  result?: Videos<T>;
  /** Why there is no result: what reading the picture or `generate` has thrown. */
  error?: unknown;
}

/**
 * Animates pictures one after the other, in their order. The weights stay where they are. A picture
 * that fails does not stop the others: its error comes in place of its result. A picture is begun
 * only when the one before has been taken and the next is asked for, so that results do not pile
 * up; while one is animated, the next is read, if a function reads it. `break` ends it all.
 *
 * Each picture has the result that a call of `generate` with its options has, whatever comes before
 * it: a `generator` for all is copied for each and stays as it is.
 *
 * @param pipe The pipeline. Other calls of it wait between pictures.
 * @param pictures Any number: a list, or what yields them. Nothing keeps them.
 * @throws Error at once if an option is unknown or out of range; while it runs, the signal's reason
 * once `signal` aborts, and what `pictures` throws itself. Nothing stays allocated then.
 *
 * @example
 * for await (const { index, result, error } of generateMany(pipe, pictures, { numFrames: 14 })) {
 *   if (result) await exportToVideo(result.frames[0], `${index}.mp4`);
 *   else console.error(error);
 * }
 */
export function generateMany<P extends ManyPicture<T>, T extends OutputType = 'image'>(
  pipe: Pick<SamplingPipeline, 'generate'>,
  pictures: Iterable<P> | AsyncIterable<P>,
  options: ManyOptions<T> = {},
): AsyncGenerator<ManyOutcome<P, T>, void, undefined> {
  checkArgument('generateMany', pipe, {
    is: 'a pipeline',
    test: (value) => typeof Object(value).generate === 'function',
  });
  const isListed = (value: object) => Symbol.iterator in value || Symbol.asyncIterator in value;
  checkArgument(
    'generateMany',
    pictures,
    { is: 'a list of pictures, or what yields them,', test: (value) => isListed(Object(value)) },
    'second',
  );
  checkGenerateOptions(options as GenerateOptions, 'generateMany');
  return outcomes(pipe, pictures, options);
}

/** A picture that is read, or being read. */
interface Reading<P> {
  picture: P;
  call: Promise<PictureCall<OutputType>>;
}

async function* outcomes<P extends ManyPicture<T>, T extends OutputType>(
  pipe: Pick<SamplingPipeline, 'generate'>,
  pictures: Iterable<P> | AsyncIterable<P>,
  options: ManyOptions<T>,
): AsyncGenerator<ManyOutcome<P, T>, void, undefined> {
  const { signal } = options;
  const source = new Source(pictures);
  try {
    for (let index = 0; ; index++) {
      signal?.throwIfAborted();
      const next = await unlessAborted(source.next(), signal);
      if (next === undefined) return;
      source.readAhead();
      yield { picture: next.picture, index, ...(await outcome(pipe, next.call, index, options)) };
    }
  } finally {
    await source.end();
  }
}

async function outcome<T extends OutputType>(
  pipe: Pick<SamplingPipeline, 'generate'>,
  reading: Promise<PictureCall<OutputType>>,
  index: number,
  { onProgress, generator, ...common }: ManyOptions<T>,
) {
  const { signal } = common;
  try {
    const { image, options } = await unlessAborted(reading, signal);
    const own = typeof options === 'function' ? await options() : options;
    const signals = [signal, own?.signal].filter((one) => one !== undefined);
    const result = await pipe.generate(image, {
      onProgress: onProgress && ((progress) => onProgress(progress, index)),
      ...{ generator: copyOf(generator), ...common, ...own },
      signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
      returnDict: true,
    });
    return { result: result as Videos<T> };
  } catch (error) {
    signal?.throwIfAborted();
    return { error };
  }
}

/** Pictures that are read one ahead. */
class Source<P extends ManyPicture<OutputType>> {
  private readonly iterator: Iterator<P> | AsyncIterator<P>;
  private ahead?: Promise<Reading<P> | undefined>;
  private isAsked = false;

  constructor(pictures: Iterable<P> | AsyncIterable<P>) {
    this.iterator =
      Symbol.asyncIterator in pictures
        ? pictures[Symbol.asyncIterator]()
        : pictures[Symbol.iterator]();
  }

  /** The next picture; undefined after the last one. */
  next(): Promise<Reading<P> | undefined> {
    const next = this.ahead ?? this.read();
    this.ahead = undefined;
    return next;
  }

  readAhead(): void {
    this.ahead = this.read();
    this.ahead.catch(() => {}); // thrown when its turn comes
  }

  private async read(): Promise<Reading<P> | undefined> {
    this.isAsked = true;
    const { done, value } = await this.iterator.next();
    this.isAsked = false;
    if (done) return undefined;
    const call = readPicture(value);
    call.catch(() => {}); // so is this
    return { picture: value, call };
  }

  /** Ends what yields the pictures. One that is waited for, such as a queue, hears it later. */
  async end(): Promise<void> {
    const ended = Promise.resolve(this.iterator.return?.());
    if (this.isAsked) ended.catch(() => {});
    else await ended;
  }
}

async function readPicture(picture: ManyPicture<OutputType>): Promise<PictureCall<OutputType>> {
  const found = typeof picture === 'function' ? await picture() : picture;
  return 'image' in Object(found)
    ? (found as PictureCall<OutputType>)
    : { image: found as ImageInput };
}

const copyOf = (generator?: Generator | Generator[]) =>
  Array.isArray(generator) ? generator.map((one) => one.clone()) : generator?.clone();
