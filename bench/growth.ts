/** `npm run bench -- --growth`: how time and memory grow with frames, pixels and steps. */
import { availableParallelism } from 'node:os';
import type { Work } from './cases.ts';
import { startPackage } from './measure.ts';
import { median } from './numbers.ts';
import { prepareCheckpoint, pythonWithDiffusers } from './prepare.ts';
import { gib, markdown, seconds } from './table.ts';

/** One measurement of a series; `amount` is the quantity that the series varies. */
interface Point {
  series: string;
  label: string;
  amount: number;
  work: Work;
}

const checkpoint = 'bench/checkpoints/full';
const frames = [4, 8, 14, 25];
const sizes = [
  [128, 128],
  [192, 192],
  [256, 256],
  [320, 320],
  [320, 576],
];

const kinds = ['unet', 'vae-decode'] as const;

/** The series by name. */
const all: Record<string, () => Point[]> = {
  ...Object.fromEntries(
    kinds.flatMap((kind) => [
      [
        `${kind}-frames`,
        () =>
          frames.map((n) => ({
            series: `${kind} of 256x256 by frames`,
            label: `${n} frames`,
            amount: n,
            work: { kind, checkpoint, frames: n, height: 256, width: 256 },
          })),
      ],
      [
        `${kind}-pixels`,
        () =>
          sizes.map(([height, width]) => ({
            series: `${kind} of 8 frames by pixels`,
            label: `${height}x${width}`,
            amount: height * width,
            work: { kind, checkpoint, frames: 8, height, width },
          })),
      ],
    ]),
  ),
  steps: () =>
    [1, 2, 4].map((steps) => ({
      series: 'whole pipeline, 4 frames of 128x128, by steps',
      label: `${steps} step${steps === 1 ? '' : 's'}`,
      amount: steps,
      work: {
        kind: 'pipeline',
        checkpoint,
        picture: 'examples/pictures/rocket.jpg',
        frames: 4,
        height: 128,
        width: 128,
        steps,
      },
    })),
};

/** The names of the series. */
export const series = Object.keys(all);

async function measure({ work }: Point, rounds: number) {
  const child = startPackage(work, 'tensorflow', availableParallelism());
  try {
    const { restingBytes } = await child.ready();
    await child.round();
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) times.push(await child.round());
    return {
      seconds: median(times),
      resting_bytes: restingBytes,
      peak_bytes: await child.peakBytes(),
    };
  } finally {
    await child.end();
  }
}

/**
 * Measures series and prints a table. An exponent says how a figure has grown since the line above:
 * 1 is in proportion.
 */
export async function growth(
  names: string[],
  rounds: number,
  write: (rows: object[]) => void,
): Promise<void> {
  prepareCheckpoint(checkpoint, pythonWithDiffusers);
  const rows: (Omit<Point, 'work'> &
    Awaited<ReturnType<typeof measure>> & {
      seconds_exponent?: number;
      memory_exponent?: number;
    })[] = [];
  for (const point of names.flatMap((name) => all[name]())) {
    const { work, ...named } = point;
    const measured = await measure(point, rounds);
    const before = rows.at(-1);
    const exponent = (now: number, then: number) =>
      Math.log(now / then) / Math.log(point.amount / before!.amount);
    rows.push({
      ...{ ...named, ...measured },
      ...(before?.series === point.series && {
        seconds_exponent: exponent(measured.seconds, before.seconds),
        memory_exponent: exponent(
          measured.peak_bytes - measured.resting_bytes,
          before.peak_bytes - before.resting_bytes,
        ),
      }),
    });
    write(rows);
    console.error(
      `${point.series}: ${point.label}: ${measured.seconds.toFixed(2)} s, peak ` +
        `${gib(measured.peak_bytes)} GiB`,
    );
  }
  const lines = rows.map((row) => [
    ...[row.series, row.label, seconds(row.seconds), row.seconds_exponent?.toFixed(2) ?? ''],
    ...[
      gib(row.peak_bytes),
      gib(row.peak_bytes - row.resting_bytes),
      row.memory_exponent?.toFixed(2) ?? '',
    ],
  ]);
  console.log(
    markdown(
      ['series', 'size', 'seconds', 'exponent', 'peak GiB', 'above rest GiB', 'exponent'],
      lines,
    ),
  );
}
