/** What layers say to arguments that they do not know. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Block, type CallArgs, Linear, TemporalConv, Upsample2D } from '../../src/layers/index.ts';
import { AutoencoderKLTemporalDecoder } from '../../src/models/index.ts';
import { snakeCase } from '../../src/text/cases.ts';
import { layerSamples, modelOf } from '../harness/layerSamples.ts';

/** A class as plain JavaScript sees it. */
type Untyped = new (args: unknown) => unknown;

describe('arguments of layers', () => {
  it('are refused if there are none of that name, with the right one', () => {
    const make = (args: object) =>
      new (Linear as Untyped)({ inFeatures: 2, outFeatures: 2, ...args });
    const say = (args: object, message: string) => expect(() => make(args)).to.throw(message);
    say(
      { activation: 'relu' },
      '`Linear` has no option `activation`. Its options are `inFeatures`, `outFeatures`, `bias`, ',
    );
    say({ in_features: 3 }, '`Linear` has no option `in_features`. Use `inFeatures`.');
    say({ infeatures: 3 }, 'Use `inFeatures`.');
    say({ inFeature: 3 }, 'Did you mean `inFeatures`?');
    say({ useBias: true }, '`Linear` has no option `useBias`.');
    say({ trainabel: true }, 'Did you mean `trainable`?');
    make({ activation: undefined });
    make({ name: 'mine', trainable: false, inputShape: [2], dtype: 'float32', batchSize: 1 });
  });

  it('are refused if they are not of the type that every layer takes', () => {
    const make = (args: object) => () =>
      new (Linear as Untyped)({ inFeatures: 2, outFeatures: 2, ...args });
    expect(make({ name: 5 })).to.throw(
      '`name` has to be a string of letters and digits, and of -_./ after the first but is 5.',
    );
    expect(make({ trainable: 'no' })).to.throw('`trainable` has to be true or false but is "no".');
    expect(make({ bias: 2n })).to.throw('`bias` has to be true or false but is 2.');
    const circular: object[] = [];
    circular.push({ circular });
    expect(make({ bias: circular })).to.throw('`bias` has to be true or false but is [an Object].');
  });

  it('are refused outside of an object', () => {
    for (const [args, shown] of [
      [320, '320'],
      ['linear', '"linear"'],
      [null, 'null'],
    ])
      expect(() => new (Linear as Untyped)(args)).to.throw(
        `The options of \`Linear\` have to be an object but are ${shown}.`,
      );
  });

  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: are those of its documentation`, () => {
      const layer = sample.make('mine');
      const Class = layer.constructor as Untyped & { checks: object };
      const own = Object.keys(Class.checks);
      const refused = own.map(snakeCase).filter((snake) => !own.includes(snake));
      for (const snake of [...refused, 'frobnicate']) {
        const all = { ...layer.args, [snake]: 1 };
        expect(() => new Class(all)).to.throw(`\`${name}\` has no option \`${snake}\`.`);
      }
      for (const snake of refused)
        expect(() => new Class({ ...layer.args, [snake]: 1 })).to.throw(/ Use `\w+`\.$/);
    });

    it(`${name}: so are its call arguments, with tensors and in models`, () => {
      const layer = sample.make('mine');
      const kwargs = { ...sample.kwargs, numframes: 2 } as object;
      const message = `\`${name}.apply\` has no option \`numframes\`. Use \`numFrames\`.`;
      expect(() => modelOf({ ...sample, kwargs }, layer)).to.throw(message);
      expect(() => layer.apply([], kwargs)).to.throw(message);
      expect(layer.built).to.equal(false);
    });
  }

  it('of calls are those of the layer', () => {
    const up = new Upsample2D({ channels: 8 });
    const conv = new TemporalConv({ inChannels: 8, outChannels: 8 });
    const call = (layer: Block, kwargs: unknown) => () => layer.apply([], kwargs as object);
    expect(call(up, { upsampleSize: [7, 9] })).to.throw(
      '`Upsample2D.apply` has no option `upsampleSize`. Its options are `numFrames`, `outputSize`, ',
    );
    expect(call(up, { output_size: [7, 9] })).to.throw('Use `outputSize`.');
    expect(call(conv, { outputSize: [7, 9] })).to.throw('Its options are `numFrames`');
    expect(call(conv, 7)).to.throw(
      'The options of `TemporalConv.apply` have to be an object but are 7.',
    );
    const tensor = tf.ones([1]);
    for (const kwargs of [tensor, tf.input({ shape: [1] })])
      expect(call(conv, kwargs)).to.throw('takes several tensors in one array');
    tensor.dispose();
  });

  it('of networks may be those of published configurations, but no others like their own', () => {
    const known = { downBlockTypes: ['DownEncoderBlock2D'], blockOutChannels: [32] };
    const make = (args: object) => new (AutoencoderKLTemporalDecoder as Untyped)(args);
    make({ ...known, attentionType: 'default', dtype: 'float16', numFrames: 3 });
    for (const [name, hint] of Object.entries({
      block_out_channels: 'Use `blockOutChannels`.',
      blockoutchannels: 'Use `blockOutChannels`.',
      sampleSizes: 'Did you mean `sampleSize`?',
    }))
      expect(() => make({ ...known, [name]: [32] })).to.throw(
        `\`AutoencoderKLTemporalDecoder\` has no option \`${name}\`. ${hint}`,
      );
  });

  it('of saved configurations are those that the layer knows', () => {
    const args = { inFeatures: 2, outFeatures: 3, ofOtherVersions: 1 };
    expect(Linear.fromConfig(Linear, args).getConfig()).not.to.have.property('ofOtherVersions');
  });

  it('that declare inputs have the shapes and types of such', () => {
    const make = (args: object) => () =>
      new (Linear as Untyped)({ inFeatures: 2, outFeatures: 2, ...args });
    const say = (args: object, sentence: string) => expect(make(args)).to.throw(sentence);
    say({ inputShape: 3 }, '`inputShape` has to be a list of one or more entries but is 3.');
    say({ inputShape: ['2'] }, '`inputShape[0]` has to be a whole number of at least 1');
    say({ batchInputShape: 3 }, '`batchInputShape` has to be a list');
    say({ batchSize: -1, inputShape: [2] }, '`batchSize` has to be a whole number of at least 1');
    say({ dtype: 'float16' }, '`dtype` has to be one of float32, int32, bool but is float16.');
    say({ inputDType: 5 }, '`inputDType` has to be one of float32, int32, bool but is 5.');
    say(
      { dtype: 'int32' },
      '`dtype` is the type of the input that `inputShape` declares, which is',
    );
    say({ weights: 5 }, '`weights` has to be a list of tensors but is 5.');
    say({ sublayers: 5 }, '`sublayers` has to be a list but is 5.');
    say(
      { name: 'my layer' },
      '`name` has to be a string of letters and digits, and of -_./ after the first but',
    );
    make({ inputShape: [null, 2], dtype: 'int32' })();
    make({ batchInputShape: [1, 2], dtype: null, name: '' })();
  });

  it('are only those of a class with a name', () => {
    class Mine extends Block {
      protected override forward([x]: tf.Tensor[]): tf.Tensor {
        return x!;
      }
    }
    expect(() => new Mine({})).to.throw(
      'A class of layers has to have a name: `static className`.',
    );
  });

  it("of somebody else's layers are their own affair", () => {
    class Linear extends Block<{ name?: string; rank: number }> {
      static className = 'Linear';
      override get callArgNames() {
        return ['numFrames', 'style'];
      }
      protected override forward(
        [x]: tf.Tensor[],
        kwargs: CallArgs & { style?: number },
      ): tf.Tensor {
        return tf.mul(x, kwargs.style ?? 1);
      }
    }
    const layer = new Linear({ rank: 4 });
    tf.tidy(() => {
      const y = layer.apply(tf.ones([1]), { style: 3 } as object);
      expect(y.dataSync()[0]).to.equal(3);
    });
  });
});
