import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Generator } from '../../src/random/generator.ts';
import { randnTensor, toChannelsFirst } from '../../src/random/randnTensor.ts';

const { tensors } = JSON.parse(
  readFileSync(new URL('../fixtures/random/torch-randn.json', import.meta.url), 'utf8'),
);

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

describe('randnTensor', () => {
  for (const { seeds, list, shape, values } of tensors) {
    it(
      `draws [${shape}] in diffusers' order from ` +
        `${list ? `a list of ${seeds.length}` : 'one generator'}`,
      async () => {
        const before = tf.memory().numTensors;
        const generators = seeds.map((seed: number) => new Generator(seed));
        const noise = randnTensor(list ? generators : generators[0], shape);
        expect(toChannelsFirst(noise.shape)).to.deep.equal(shape);
        expect(await noise.data()).to.deep.equal(floats(values));
        noise.dispose();
        expect(tf.memory().numTensors).to.equal(before);
      },
    );
  }

  it('leaves surplus generators of a list untouched', () => {
    const generators = [0, 1, 2].map((seed) => new Generator(seed));
    randnTensor(generators, [2, 4, 2, 2]).dispose();
    expect(generators[2]!.randn([16])).to.deep.equal(new Generator(2).randn([16]));
    expect(generators[1]!.randn([16])).not.to.deep.equal(new Generator(1).randn([16]));
  });

  it('refuses a list that is too short', () => {
    expect(() => randnTensor([new Generator(0), new Generator(1)], [3, 4, 2, 2])).to.throw(
      'You have passed a list of generators of length 2, but requested an effective batch ' +
        'size of 3. ' +
        'Make sure the batch size matches the length of the generators.',
    );
    expect(() => randnTensor([], [1, 4, 2, 2])).to.throw(
      'a list of generators of length 0, but requested an effective batch size of 1.',
    );
  });
});
