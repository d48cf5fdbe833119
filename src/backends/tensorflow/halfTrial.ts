/**
 * A script that halfGain.ts runs: times oneDNN's kernels in the type named by its argument, which
 * end the process where they cannot run.
 */
import * as tf from '@tensorflow/tfjs-core';
import { computeIn, type HalfDtype, useHalfGain } from '../../ops/tensorflow/computeIn.ts';
import { tryFused } from '../../ops/tensorflow/fusedHalf.ts';
import { conv2dInHalf, matMulInHalf } from '../../ops/tensorflow/halfPrecision.ts';
import { narrowed } from '../../ops/tensorflow/halfTensors.ts';
import { kernels } from '../../ops/tensorflow/kernels.ts';
import { shareOfTime } from '../../ops/tensorflow/trials.ts';
import { useBackend } from '../select.ts';

const dtype = process.argv[2] as HalfDtype;
await useBackend('tensorflow');
useHalfGain(() => ({ pays: true, finding: 'a trial' }));

tryFused(dtype); // may end this process; whether they work matters to those who call them
const a = tf.ones<tf.Rank.R2>([896, 1280]);
const weight = tf.ones<tf.Rank.R2>([1280, 1280]);
const x = tf.ones<tf.Rank.R4>([8, 16, 16, 320]);
const filter = tf.ones<tf.Rank.R4>([3, 3, 320, 320]);
const bias = tf.ones<tf.Rank.R1>([320]);
const padding = [
  [1, 1],
  [1, 1],
];
const [weightInHalf, filterInHalf] = [weight, filter].map((held) => narrowed(held, dtype));
const inHalf = () => [
  matMulInHalf(a, weightInHalf as tf.Tensor2D),
  conv2dInHalf(x, filterInHalf as tf.Tensor4D, bias, padding, 1),
];
const inFloat32 = () => [kernels.matMul(a, weight), kernels.conv2d(x, filter, bias, padding)];
const share = shareOfTime(
  () => tf.dispose(computeIn(dtype, inHalf)),
  () => tf.dispose(inFloat32()),
);
process.stdout.write(`share ${share.toFixed(3)}\n`, () => process.exit(0));
