/** The names of layers in saved models, beside other people's layers of the same names. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { layerSamples, modelOf } from '../harness/layerSamples.ts';

const { classNameMap } = tf.serialization.SerializationMap.getMap();
const packageName = 'stable-video-diffusion-tfjs';

/** The saved form of a model, in which `rename` changes the names of classes. */
async function saved(
  model: tf.LayersModel,
  rename = (name: string) => name,
): Promise<tf.io.ModelArtifacts> {
  let artifacts: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async ({ weightData, ...rest }) => {
      const text = JSON.stringify(rest).replace(
        /"class_name":"([^"]+)"/g,
        (_, name: string) => `"class_name":"${rename(name)}"`,
      );
      artifacts = { ...JSON.parse(text), weightData };
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  return artifacts!;
}

const classNamesIn = (artifacts: tf.io.ModelArtifacts) =>
  [...JSON.stringify(artifacts.modelTopology).matchAll(/"class_name":"([^"]+)"/g)].map(
    ([, name]) => name!,
  );

/** The name as versions up to 0.2 wrote it. */
const old = (name: string) => name.replace(`${packageName}>`, '');

/** Registers a class of somebody else for the time of `work`. */
async function withOwn(cls: typeof Own, work: () => Promise<void>): Promise<void> {
  const before = classNameMap[cls.className];
  tf.serialization.registerClass(cls);
  try {
    await work();
  } finally {
    if (before) classNameMap[cls.className] = before;
  }
}

/** Somebody else's layer. */
class Own extends tf.layers.Layer {
  static className = 'Own';
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => tf.mul([inputs].flat()[0]!, 2));
  }
}

describe('names of layers in saved models', () => {
  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: begins with the package, and the old one still loads`, async () => {
      const layer = sample.make('mine');
      expect(layer.getClassName()).to.equal(`${packageName}>${name}`);
      const model = modelOf(sample, layer);
      const now = await saved(model);
      expect(classNamesIn(now)).to.include(`${packageName}>${name}`).and.not.include(name);
      const before = await saved(model, old);
      expect(classNamesIn(before)).to.include(name);
      for (const artifacts of [now, before]) {
        const loaded = await tf.loadLayersModel(tf.io.fromMemory(artifacts));
        expect(loaded.layers.at(-1)!.constructor).to.equal(layer.constructor);
        loaded.dispose();
      }
      model.dispose();
    });

    it(`${name}: an own layer of that name is another one`, async () => {
      const Mine = class extends Own {
        static override className = name;
      };
      const [sampled, input] = [modelOf(sample, sample.make('mine')), tf.input({ shape: [2] })];
      await withOwn(Mine, async () => {
        const mine = tf.model({ inputs: input, outputs: new Mine().apply(input) as never });
        const [ours, theirs] = [await saved(sampled), await saved(mine)];
        expect(classNamesIn(theirs)).to.include(name);
        const loadedOurs = await tf.loadLayersModel(tf.io.fromMemory(ours));
        const loadedTheirs = await tf.loadLayersModel(tf.io.fromMemory(theirs));
        expect(loadedOurs.layers.at(-1)!.getClassName()).to.equal(`${packageName}>${name}`);
        expect(loadedTheirs.layers.at(-1)).to.be.instanceOf(Mine);
        for (const model of [mine, loadedOurs, loadedTheirs]) model.dispose();
      });
      sampled.dispose();
    });
  }

  it('do not take the place of a class that was there before', async () => {
    const { registerLayer } = await import('../../src/layers/registry.ts');
    const Mine = class extends Own {
      static override className = 'Linear';
    };
    await withOwn(Mine, async () => {
      registerLayer(layers.Linear as never);
      expect(classNameMap.Linear![0]).to.equal(Mine);
      expect(classNameMap[`${packageName}>Linear`]![0]).to.equal(layers.Linear);
    });
  });

  it('are the registered ones of TensorFlow.js', () => {
    const classes = Object.values<unknown>({ ...layers, ...models }).filter(
      (value): value is typeof layers.Linear =>
        typeof value === 'function' && Object.hasOwn(value, 'className'),
    );
    for (const cls of classes) {
      const name = `${packageName}>${cls.className}`;
      expect(tf.serialization.getRegisteredName(cls as never)).to.equal(name);
      expect(classNameMap[name]![0]).to.equal(cls);
    }
  });

  it("of somebody's layer made of ours is their own, as are default names of layers", () => {
    class Mine extends layers.Linear {
      static override className = 'Mine';
    }
    expect(new Mine({ inFeatures: 1, outFeatures: 1 }).getClassName()).to.equal('Mine');
    const linear = new layers.Linear({ inFeatures: 1, outFeatures: 1 });
    expect(linear.name).to.match(/^linear_Linear\d+$/);
    expect(() => linear.apply(tf.input({ shape: [3] }))).to.throw(`Linear "${linear.name}": x`);
  });
});
