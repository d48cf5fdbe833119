/** One side of the benchmark: runs a case each time a line comes in, and answers with seconds and peak memory as JSON. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as tf from '@tensorflow/tfjs';
import { useBackend } from '../src/backends/index.ts';
import { type AnyBlock, withoutWeights } from '../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../src/models/index.ts';

interface Case {
  frames: number;
  height: number;
  width: number;
}

/** Fills every weight with uniform noise of its layer's usual size. Values hardly matter to the time, as long as none is denormal. */
function fillWithNoise(model: AnyBlock): void {
  withoutWeights(() => model.build());
  const noise = Float32Array.from({ length: 1 << 16 }, () => 2 * Math.random() - 1);
  for (const { variable } of model.parameters()) {
    const shape = variable.shape as number[];
    const scale = 1 / Math.sqrt(tf.util.sizeFromShape(shape.slice(0, -1)));
    const values = new Float32Array(tf.util.sizeFromShape(shape));
    for (let i = 0; i < values.length; i++) values[i] = noise[i & 0xffff] * scale;
    const tensor = tf.tensor(values, shape);
    variable.write(tensor);
    tensor.dispose();
  }
}

/** The most memory the process has had, in bytes. */
const peakBytes = () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

const [name] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(new URL('cases.json', import.meta.url), 'utf8')) as Record<string, Case>;
const { frames: numFrames, height, width } = cases[name];
await useBackend('tensorflow');
const unet = new UNetSpatioTemporalConditionModel({ numFrames });
fillWithNoise(unet);
const inputs = [
  tf.randomNormal([numFrames, height, width, 8]),
  tf.tensor1d([1.25]),
  tf.randomNormal([1, 1, 1024]),
  tf.tensor2d([[6, 127, 0.02]]),
];
console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const output = unet.apply(inputs, { numFrames }) as tf.Tensor;
  await output.data();
  output.dispose();
  console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, peakBytes: peakBytes() }));
}
