/** Many pictures with one pipeline: order, failures, back-pressure, and what is left. */
import { setTimeout } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'chai';
import { generateMany, type ManyPicture } from '../../src/batch/generateMany.ts';
import type { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import { Generator } from '../../src/random/index.ts';
import { options, otherPicture, picture, tinyPipeline } from '../harness/tiny.ts';

describe('generateMany', () => {
  let pipe: SamplingPipeline;
  before(async () => {
    pipe = await tinyPipeline();
  });
  after(() => pipe.dispose());

  const array = { ...options, outputType: 'array' } as const;
  const single = async (image = picture, seed = 0) =>
    (await pipe.generate(image, { ...array, generator: new Generator(seed) })).frames;

  async function all<P extends ManyPicture<'array'>>(
    pictures: Iterable<P> | AsyncIterable<P>,
    more: object = {},
  ) {
    const generator = new Generator(0);
    return collected(generateMany(pipe, pictures, { ...array, generator, ...more }));
  }

  async function collected<T>(outcomes: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const outcome of outcomes) found.push(outcome);
    return found;
  }

  it('has the results of single calls, whatever comes before', async () => {
    const [one, other, third] = [
      await single(),
      await single(otherPicture),
      await single(picture, 7),
    ];
    const own = { image: picture, options: { generator: new Generator(7) } };
    for (const [pictures, expected] of [
      [
        [picture, otherPicture, own],
        [one, other, third],
      ],
      [
        [own, otherPicture, picture],
        [third, other, one],
      ],
    ] as const) {
      const found = await all<ManyPicture<'array'>>(pictures);
      expect(found.map(({ picture }) => picture)).to.deep.equal(pictures);
      expect(found.map(({ index }) => index)).to.deep.equal([0, 1, 2]);
      expect(found.map(({ result }) => result?.frames)).to.deep.equal(expected);
      own.options.generator = new Generator(7); // its own is used, not a copy
    }
  });

  it('goes on after pictures that cannot be read or animated', async () => {
    const broken = () => Promise.reject(new Error('broken'));
    const tooLarge = { image: picture, options: { numFrames: 0 } };
    const nothing = undefined as never;
    const before = tf.memory().numTensors;
    const found = await all<ManyPicture<'array'>>([broken, tooLarge, nothing, () => picture]);
    expect(found[0]).to.have.nested.property('error.message', 'broken');
    expect(found[1])
      .to.have.nested.property('error.message')
      .that.match(/^`numFrames`/);
    expect(found[2]?.error).to.be.instanceOf(Error);
    expect(found.map(({ result }) => result !== undefined)).to.deep.equal([
      false,
      false,
      false,
      true,
    ]);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('begins a picture when it is asked for, and reads the next meanwhile', async () => {
    const events: string[] = [];
    const pictures = [0, 1, 2].map((i) => () => {
      events.push(`read ${i}`);
      return { image: picture, options: () => ({ onBlock: undefined, ...turn(i) }) };
    });
    const turn = (i: number) => {
      events.push(`begin ${i}`);
      return {};
    };
    const onProgress = (progress: { stage: string; step: number }, index: number) => {
      if (progress.stage === 'decoding' && progress.step === 2) events.push(`decoded ${index}`);
    };
    const outcomes = generateMany(pipe, pictures, { ...options, onProgress });
    expect(events).to.deep.equal([]);
    await outcomes.next();
    await setTimeout(20);
    expect(events).to.deep.equal(['read 0', 'read 1', 'begin 0', 'decoded 0']);
    await outcomes.next();
    expect(events.slice(4)).to.deep.equal(['read 2', 'begin 1', 'decoded 1']);
    await outcomes.return();
    expect(events.slice(7)).to.deep.equal([]);
  });

  it('takes pictures from what yields them, ends it at `break`, and does not wait for it', async () => {
    let ended = false;
    async function* queue() {
      try {
        yield picture;
        await new Promise(() => {}); // none comes any more
      } finally {
        ended = true;
      }
    }
    for await (const { result } of generateMany(pipe, queue(), options)) {
      expect(result?.frames).to.have.length(1);
      break;
    }
    function* list() {
      try {
        for (;;) yield picture;
      } finally {
        ended = true;
      }
    }
    for await (const _ of generateMany(pipe, list(), options)) break;
    expect(ended).to.equal(true);
  });

  it('ends with the reason of its signal, also while it waits for a picture', async () => {
    const before = tf.memory().numTensors;
    const stopped = async (pictures: Iterable<ManyPicture> | AsyncIterable<ManyPicture>) => {
      const controller = new AbortController();
      const onProgress = () => controller.abort(new Error('enough'));
      const call = generateMany(pipe, pictures, {
        ...options,
        onProgress,
        signal: controller.signal,
      });
      void setTimeout(50).then(onProgress);
      return collected(call).catch((error) => error.message);
    };
    expect(await stopped([picture, picture])).to.equal('enough');
    expect(await stopped([() => new Promise<never>(() => {})])).to.equal('enough');
    async function* none() {
      await new Promise(() => {});
      yield picture;
    }
    expect(await stopped(none())).to.equal('enough');
    // That of one picture is its failure.
    const signal = AbortSignal.abort(new Error('not this'));
    const found = await all<ManyPicture<'array'>>(
      [{ image: picture, options: { signal } }, picture],
      {
        signal: new AbortController().signal,
      },
    );
    expect(found[0]).to.have.nested.property('error.message', 'not this');
    expect(found[1]?.error).to.equal(undefined);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('leaves no tensors but those of the results', async () => {
    const before = tf.memory().numTensors;
    const outcomes = generateMany(pipe, [picture, otherPicture], {
      ...options,
      outputType: 'tensor',
    });
    for await (const { result } of outcomes) {
      expect(tf.memory().numTensors).to.equal(before + 1);
      result?.frames.dispose();
    }
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('refuses wrong arguments at once', () => {
    const call = (...args: unknown[]) => Reflect.apply(generateMany, undefined, args);
    expect(() => call({}, [])).to.throw('`generateMany` takes a pipeline as its first argument');
    expect(() => call(pipe, picture)).to.throw('a list of pictures, or what yields them, as its');
    expect(() => call(pipe, [], { seed: 1 })).to.throw('`generateMany` has no option `seed`.');
  });

  it('ends with what the source of pictures throws', async () => {
    function* pictures() {
      yield picture;
      throw new Error('no more');
    }
    const found: unknown[] = [];
    const run = async () => {
      for await (const { result } of generateMany(pipe, pictures(), options)) found.push(result);
    };
    expect(await run().catch((error) => error.message)).to.equal('no more');
    expect(found).to.have.length(1);
  });
});
