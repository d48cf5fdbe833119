/**
 * This package's process: builds the work that it gets as JSON, then answers each line of its
 * standard input with a line of JSON.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { type BackendChoice, useBackend } from '../../src/backends/index.ts';
import { peakDeviceBytes } from '../../src/ops/device.ts';
import { channelsFirst } from '../../src/pipelines/sampling/axes.ts';
import type { Work } from '../cases.ts';
import { watchHostKernels } from './onCard.ts';
import { type Workload, workloads } from './workloads.ts';

/**
 * A figure of /proc/self/status in bytes: `VmRSS` is the memory in use, `VmHWM` its peak since the
 * last reset.
 */
const memory = (name: string) =>
  1024 *
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

/** Waits until a tensor is computed. Reads only its first value. */
async function computed(x: tf.Tensor): Promise<void> {
  const first = tf.tidy(() => tf.slice(tf.reshape(x, [-1]), 0, 1));
  await first.data();
  first.dispose();
}

const { values } = parseArgs({
  options: { work: { type: 'string' }, backend: { type: 'string' }, threads: { type: 'string' } },
});
const work = JSON.parse(values.work!) as Work;
const backend = values.backend as BackendChoice;
const chosen = await useBackend(
  backend,
  backend === 'wasm' ? { threads: Number(values.threads) } : {},
);
const hostKernels = watchHostKernels();
// TypeScript does not relate the kind of the work to that of its builder.
const run = await (workloads[work.kind] as (work: Work) => Promise<Workload>)(work);
let output: tf.Tensor | undefined;
// The peak memory of the rounds excludes that of loading, except where loading is the case.
if (work.kind === 'load') await run();
else writeFileSync('/proc/self/clear_refs', '5');
const answer = (value: object) => console.log(JSON.stringify(value));
answer({ version: `${chosen.name} ${chosen.version ?? ''}`.trim(), restingBytes: memory('VmRSS') });

for await (const line of createInterface({ input: process.stdin })) {
  const [command, path] = line.split(' ');
  if (command === 'round') {
    if (work.kind !== 'load') output?.dispose();
    const start = performance.now();
    output = await run();
    await computed(output);
    answer({ seconds: (performance.now() - start) / 1000 });
  } else if (command === 'save') {
    const { data } =
      output!.rank === 4 ? await channelsFirst(output!) : { data: await output!.data() };
    writeFileSync(path, data as Float32Array);
    answer({ saved: path });
  } else {
    answer({
      peakBytes: memory('VmHWM'),
      deviceBytes: peakDeviceBytes(),
      hostKernels: hostKernels(),
    });
  }
}
