/** The results of `--card` as Markdown. */
import { gib, markdown, seconds } from '../table.ts';
import type { SizedCase } from './cases.ts';
import type { Target } from './devices.ts';
import type { Figures } from './measure.ts';
import type { Parity } from './parity.ts';

/** What one backend's comparison with the goldens gave. */
export interface ParityRow extends Partial<Parity> {
  case: string;
  backend: string;
  /** Why the tests did not end. */
  failure?: string;
}

/** What one process took. */
export interface SizedRow extends SizedCase, Figures {
  case: string;
  /** A backend of this package, or diffusers. */
  by: string;
  dtype: string;
  predicted_process_bytes?: number;
  predicted_device_bytes?: number;
  /** What the plan has chosen to save memory. */
  choices?: string[];
  /** Whether the plan fits into the memory that was free. */
  fits?: boolean;
  /** Seconds divided by diffusers'. */
  ratio?: number;
  /** Distance from diffusers' output, in the type that diffusers computes in. */
  relative_l2?: number;
}

/** All that `--card` finds. */
export interface CardResults {
  targets: Target[];
  checkpoint: string;
  /** What this run does not have, in sentences. */
  notes: string[];
  parity: ParityRow[];
  sizes: SizedRow[];
  left_out: string[];
}

const optional = (value: number | undefined, format: (value: number) => string) =>
  value === undefined ? '' : format(value);

/** The memory of the card where there is one, else of the process. */
function memoryOf(row: SizedRow): (number | undefined)[] {
  return row.predicted_device_bytes === undefined && row.device_bytes === undefined
    ? [row.predicted_process_bytes, row.process_bytes]
    : [row.predicted_device_bytes, row.device_bytes];
}

/** The name of the file with the results: the device's, with what a file name may have. */
export const resultsName = ({ targets: [{ name }] }: Pick<CardResults, 'targets'>) =>
  `card-${
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '') || 'unknown'
  }.json`;

const list = (title: string, entries: string[]) =>
  entries.length === 0 ? [] : [`${title}:\n\n${entries.map((entry) => `* ${entry}`).join('\n')}`];

/** The tables, with everything that went wrong or was left out below them. */
export function cardTables({ targets, checkpoint, notes, ...results }: CardResults): string {
  const { parity, sizes, left_out: leftOut } = results;
  const comparisons = parity.map((row) => [
    ...[`${row.case} on ${row.backend}`, `${row.passed ?? ''}`, `${row.failed ?? ''}`],
    optional(row.seconds, seconds),
  ]);
  const measured = sizes.map((row) => [
    `${row.part === 'unet' ? `UNet, ${row.guided ? 'guided' : 'unguided'}` : 'decode'}`,
    ...[`${row.frames} of ${row.height}x${row.width}`, row.dtype, row.by],
    ...[optional(row.seconds, seconds), optional(row.ratio, (ratio) => ratio.toFixed(2))],
    ...memoryOf(row).map((bytes) => optional(bytes, gib)),
    optional(row.relative_l2, (distance) => distance.toExponential(1)),
  ]);
  const heads = [
    'part',
    'frames',
    'type',
    'by',
    'seconds',
    'ratio',
    'predicted GiB',
    'measured GiB',
  ];
  const kernels = sizes.flatMap((row) =>
    (row.host_kernels ?? []).map((kernel) => `${row.by} in ${row.dtype}: ${kernel}`),
  );
  const saved = sizes.flatMap((row) =>
    (row.choices ?? []).map((choice) => `${row.case} in ${row.dtype} on ${row.by}: ${choice}`),
  );
  const failures = [
    ...parity.flatMap((row) => [...(row.failures ?? []), row.failure ?? []].flat()),
    ...sizes.flatMap(({ case: name, dtype, by, failure }) =>
      failure ? [`${name} in ${dtype} on ${by}: ${failure}`] : [],
    ),
  ];
  return [
    targets.map(({ backend, name, version }) => `${backend} ${version} on ${name}`).join('; '),
    `Weights: ${checkpoint}`,
    ...notes,
    ...(comparisons.length > 0
      ? [markdown(['parity', 'passed', 'failed', 'seconds'], comparisons)]
      : []),
    ...(measured.length > 0 ? [markdown([...heads, 'relative L2'], measured)] : []),
    ...list('To save memory', saved),
    ...(sizes.some((row) => row.host_kernels)
      ? [
          kernels.length > 0
            ? list('Kernels that ran on the processor', [...new Set(kernels)])[0]
            : 'No kernel ran on the processor.',
        ]
      : []),
    ...list('Failed', failures),
    ...list('Left out, because the time was short', leftOut),
  ].join('\n\n');
}
