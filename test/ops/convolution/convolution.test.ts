/**
 * Convolutions with PyTorch's padding, the linear map, and nearest-neighbour upsampling against
 * TensorFlow.js' own plain ops.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convolveColumns, type Padding } from '../../../src/ops/convolution/convolution.ts';
import {
  conv2d,
  linear,
  padEvenly,
  resizeNearest,
  temporalConv,
  upsampleTwice,
} from '../../../src/ops/index.ts';
import { testBackend } from '../../setup.ts';
import { expectSame, named } from '../random.ts';

describe('convolveColumns', () => {
  const paddings: Padding[] = [
    [
      [1, 1],
      [1, 1],
    ],
    [
      [0, 1],
      [0, 1],
    ],
    [
      [1, 1],
      [0, 0],
    ],
  ];
  for (const padding of paddings) {
    for (const [stride, kernel] of [
      [1, [3, 3]],
      [2, [3, 3]],
      [1, [3, 1]],
    ] as const) {
      it(`equals one of all columns: ${kernel} at stride ${stride}, padded by ${padding}`, async () => {
        const x = named<tf.Tensor4D>('x', [2, 7, 10, 3]);
        const filter = named<tf.Tensor4D>('filter', [...kernel, 3, 4]);
        for (const bias of [named<tf.Tensor1D>('bias', [4]), named<tf.Tensor2D>('bias', [2, 4])])
          for (const mostPixels of [4, 24])
            await expectSame(
              () => convolveColumns(x, filter, bias, padding, stride, mostPixels),
              () => convolveColumns(x, filter, bias, padding, stride),
            );
      });
    }
  }

  it('has more pixels than one dispatch of WebGPU computes', async function () {
    if (testBackend !== 'webgpu') this.skip();
    const pixels = 1_050_000;
    const video = named<tf.Tensor4D>('x', [2, 1, pixels, 1]);
    const filter = named<tf.Tensor4D>('filter', [3, 1, 1, 1]);
    const all = temporalConv(video, filter, undefined, 2);
    const last = tf.slice(video, [0, 0, pixels - 5, 0]);
    await expectSame(
      () => tf.slice(all, [0, 0, pixels - 5, 0]),
      () => temporalConv(last as tf.Tensor4D, filter, undefined, 2),
    );
  });
});

describe('conv2d', () => {
  const x = () => named<tf.Tensor4D>('x', [2, 7, 6, 3]);
  const filter = () => named<tf.Tensor4D>('filter', [3, 3, 3, 4]);

  for (const stride of [1, 2]) {
    it(`pads all sides at stride ${stride}`, async () => {
      await expectSame(
        () => conv2d(x(), filter(), named<tf.Tensor1D>('bias', [4]), padEvenly(1), stride),
        () => {
          const padded = tf.pad(x(), [
            [0, 0],
            [1, 1],
            [1, 1],
            [0, 0],
          ]);
          return tf.add(
            tf.conv2d(padded as tf.Tensor4D, filter(), stride, 'valid'),
            named('bias', [4]),
          );
        },
      );
    });
  }

  it('pads right and bottom alone where told so, and needs no bias', async () => {
    await expectSame(
      () =>
        conv2d(
          x(),
          filter(),
          undefined,
          [
            [0, 1],
            [0, 1],
          ],
          2,
        ),
      () => {
        const padded = tf.pad(x(), [
          [0, 0],
          [0, 1],
          [0, 1],
          [0, 0],
        ]);
        return tf.conv2d(padded as tf.Tensor4D, filter(), 2, 'valid');
      },
    );
  });
});

describe('temporalConv', () => {
  for (const [batch, frames, taps] of [
    [1, 5, 3],
    [2, 3, 3],
    [3, 1, 3],
    [2, 4, 1],
  ] as const) {
    it(`equals conv3d over ${batch} x ${frames} frames with ${taps} taps`, async () => {
      const [h, w, input, output] = [4, 3, 5, 6];
      const x = named<tf.Tensor4D>('x', [batch * frames, h, w, input]);
      const [filter, bias] = [
        named<tf.Tensor4D>('filter', [taps, 1, input, output]),
        named<tf.Tensor1D>('bias', [output]),
      ];
      await expectSame(
        () => temporalConv(x, filter, bias, frames),
        () => {
          const video = tf.reshape(x, [batch, frames, h, w, input]) as tf.Tensor5D;
          const y = tf.conv3d(
            video,
            tf.reshape(filter, [taps, 1, 1, input, output]) as tf.Tensor5D,
            1,
            'same',
          );
          // webgpu cannot broadcast to five axes
          return tf.add(tf.reshape(y, [batch * frames, h, w, output]), bias);
        },
      );
      tf.dispose([x, filter, bias]);
    });
  }
});

describe('linear', () => {
  it('maps the last axis of any rank, with and without bias', async () => {
    const [weight, bias] = [named<tf.Tensor2D>('weight', [6, 4]), named<tf.Tensor1D>('bias', [4])];
    for (const shape of [[6], [3, 6], [2, 3, 6], [2, 1, 3, 6]]) {
      const x = named('x', shape);
      const plain = () =>
        tf.reshape(tf.matMul(tf.reshape(x, [-1, 6]), weight), [...shape.slice(0, -1), 4]);
      await expectSame(() => linear(x, weight), plain);
      await expectSame(
        () => linear(x, weight, bias),
        () => tf.add(plain(), bias),
      );
      x.dispose();
    }
    tf.dispose([weight, bias]);
  });
});

describe('upsampling', () => {
  it('by two repeats every pixel, as resizing to twice the size does', async () => {
    const x = named<tf.Tensor4D>('x', [2, 3, 5, 4]);
    await expectSame(
      () => upsampleTwice(x),
      () => resizeNearest(x, [6, 10]),
      0,
    );
    x.dispose();
  });

  it('takes the pixels that floor(target * in / out) names', async () => {
    const x = named<tf.Tensor4D>('x', [1, 3, 5, 2]);
    const values = await x.array();
    const resized = resizeNearest(x, [5, 8]);
    const [rows, columns] = [
      [0, 0, 1, 1, 2],
      [0, 0, 1, 1, 2, 3, 3, 4],
    ];
    expect(await resized.array()).to.deep.equal([
      rows!.map((row) => columns!.map((column) => values[0]![row]![column])),
    ]);
    tf.dispose([x, resized]);
  });
});
