/** One side of the benchmark: runs a case each time a line comes in, and answers with seconds and peak memory as JSON. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as tf from '@tensorflow/tfjs';
import { useBackend } from '../src/backends/index.ts';
import { checkpointShape, loadWeights, type WeightSource } from '../src/checkpoints/index.ts';
import { type AnyBlock, withoutWeights } from '../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../src/models/index.ts';

interface Case {
  frames: number;
  height: number;
  width: number;
}

/** Weights of uniform noise, each of its layer's usual size. Values hardly matter to the time, as long as none is denormal. */
function noise(model: AnyBlock): WeightSource {
  const pattern = Float32Array.from({ length: 1 << 16 }, () => 2 * Math.random() - 1);
  const shapes = new Map(model.parameters().map((parameter) => [parameter.key, checkpointShape(parameter)]));
  return {
    names: () => [...shapes.keys()],
    info: (name) => ({ dtype: 'F32', shape: shapes.get(name)!, bytes: 4 * tf.util.sizeFromShape(shapes.get(name)!) }),
    read: async (name) => {
      const [out, ...rest] = shapes.get(name)!;
      const fanIn = tf.util.sizeFromShape(rest);
      const values = new Float32Array(out * fanIn);
      for (let i = 0; i < values.length; i++) values[i] = pattern[i & 0xffff] / Math.sqrt(fanIn);
      return values;
    },
    close: async () => {},
  };
}

/** The most memory the process has had, in bytes. */
const peakBytes = () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

const [name] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(new URL('cases.json', import.meta.url), 'utf8')) as Record<string, Case>;
const { frames: numFrames, height, width } = cases[name];
await useBackend('tensorflow');
const unet = new UNetSpatioTemporalConditionModel({ numFrames });
withoutWeights(() => unet.build());
await loadWeights(unet, noise(unet));
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
