/** Computations of libtensorflow's kernels are recorded, and run again as one call. */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import { recordGraph } from '../../src/recording/recordGraph.ts';
import { testBackend } from '../setup.ts';

const held = () => ({ tensors: tf.memory().numTensors, native: nativeHandleCount() });
const values = (tensors: tf.Tensor[]) => tensors.map((tensor) => Array.from(tensor.dataSync()));
const readable = (value: tf.Tensor) => ({ read: () => value });
const range = (from: number, ...shape: number[]) =>
  tf.tidy(() => tf.reshape(tf.range(from, from + tf.util.sizeFromShape(shape)), shape));

/**
 * Operations whose attributes are of every type, lists and shapes among them, with one, several and
 * shared outputs.
 */
function compute(x: tf.Tensor, w: tf.Tensor): tf.Tensor[] {
  return tf.tidy(() => {
    const image = tf.reshape(x, [1, 2, 3, 2]) as tf.Tensor4D;
    const padded = tf.pad4d(image, [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ]);
    const filtered = tf.conv2d(padded, tf.reshape(w, [2, 1, 2, 3]) as tf.Tensor4D, [1, 2], 'valid');
    const [first, second] = tf.split(filtered, [1, 2], 3);
    const long = tf.expandDims(tf.fill([3], 1.5), 1);
    return [
      tf.leakyRelu(first, 0.25),
      tf.transpose(second, [3, 0, 2, 1]),
      tf.concat([long, long]),
      tf.isFinite(second),
      filtered,
    ];
  });
}

(testBackend === 'tensorflow' ? describe : describe.skip)('recordGraph', () => {
  it('computes the same values to the bit, for the inputs and weights of each run', () => {
    const before = held();
    const [x, w, otherX, otherW] = [range(0, 12), range(-5, 2, 6), range(20, 12), range(7, 2, 6)];
    let weight = w;
    const { results, graph } = recordGraph([x], [{ read: () => weight }], () => compute(x, w));
    const check = (input: tf.Tensor, run: tf.Tensor[]) => {
      const wanted = compute(input, weight);
      expect(run.map(({ shape, dtype }) => ({ shape, dtype }))).to.deep.equal(
        wanted.map(({ shape, dtype }) => ({ shape, dtype })),
      );
      expect(values(run)).to.deep.equal(values(wanted));
      tf.dispose([wanted, run]);
    };
    check(x, results);
    check(x, graph.run([x]));
    check(otherX, graph.run([otherX]));
    weight = otherW;
    check(otherX, graph.run([otherX]));
    graph.dispose();
    tf.dispose([x, w, otherX, otherW]);
    expect(held()).to.deep.equal(before);
  });

  it('takes for inputs what was made in JavaScript and never used before', () => {
    const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 5])];
    const { results, graph } = recordGraph([x], [], () => [tf.square(x)]);
    const again = graph.run([y]);
    expect(values([...results, ...again])).to.deep.equal([
      [1, 4],
      [9, 25],
    ]);
    graph.dispose();
    tf.dispose([x, y, results, again]);
  });

  it('computes with numbers in the order in which they were used, to the bit', () => {
    const before = held();
    const x = tf.randomUniform([64], 0.1, 1, 'float32', 1);
    const folded = () =>
      tf.tidy(() => [
        tf.sub(1, tf.sub(1, tf.sigmoid(x))),
        tf.mul(tf.mul(x, 0.3), 0.7),
        tf.add(tf.add(x, 0.1), tf.add(x, 0.7)),
        tf.div(tf.div(x, 3), 7),
        tf.mul(tf.fill([64], 0.3), tf.mul(x, 0.7)),
      ]);
    const { results, graph } = recordGraph([x], [], folded);
    const again = graph.run([x]);
    expect(values(again)).to.deep.equal(values(results));
    graph.dispose();
    tf.dispose([x, results, again]);
    expect(held()).to.deep.equal(before);
  });

  it('accepts weights that the computation does not use', () => {
    const [x, unused] = [range(0, 3), range(0, 4)];
    const { results, graph } = recordGraph([x], [readable(unused)], () => [tf.add(x, 1)]);
    unused.dispose();
    const again = graph.run([x]);
    expect(values(again)).to.deep.equal([[1, 2, 3]]);
    graph.dispose();
    tf.dispose([x, results, again]);
  });

  it('refuses values of other tensors and reading values, and leaves nothing', () => {
    const [x, foreign] = [range(0, 3), range(0, 3)];
    const before = held();
    const foreignUse = () => recordGraph([x], [], () => [tf.tidy(() => tf.add(x, foreign))]);
    expect(foreignUse).to.throw('may use only its inputs, its weights and constants');
    const reading = () =>
      recordGraph([x], [], () => tf.tidy(() => [tf.mul(x, tf.add(x, 1).dataSync()[0])]));
    expect(reading).to.throw('cannot read values');
    expect(held()).to.deep.equal(before);
    // The addon is itself again.
    expect(values([tf.tidy(() => tf.add(x, foreign))])).to.deep.equal([[0, 2, 4]]);
    tf.dispose([x, foreign]);
  });

  it('leaves no file', () => {
    const x = range(0, 3);
    const { results, graph } = recordGraph([x], [], () => [tf.neg(x)]);
    const ours = new RegExp(`^\\.svd-.*-${process.pid}-`); // other processes have files there, too
    expect(readdirSync(tmpdir()).filter((name) => ours.test(name))).to.deep.equal([]);
    graph.dispose();
    tf.dispose([x, results]);
  });
});
