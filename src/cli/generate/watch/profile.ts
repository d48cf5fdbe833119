/** Measures the time of a run by blocks of the models: `--profile`. */
import { alignColumns } from '../../terminal/help.ts';
import { inSeconds, Stopwatch } from '../../terminal/stopwatch.ts';

/** One line of a profile. */
export interface ProfileLine {
  /** The block's path, or the work between models. */
  block: string;
  /** How often it was done. */
  calls: number;
  seconds: number;
  /** Of the whole, 0 to 1. */
  share: number;
}

/** Adds up the time between blocks, from its making on. */
export class Profile {
  private readonly stopwatch: Stopwatch;

  /** `now` returns milliseconds. */
  constructor(now?: () => number) {
    this.stopwatch = new Stopwatch(now);
  }

  /** Adds the time since the last call to that of the block at `path`. */
  onBlock = (path: string): void => {
    this.stopwatch.lap(nameOf(path));
  };

  /** Every block in the order in which they were first done. */
  lines(): ProfileLine[] {
    const blocks = [...this.stopwatch.laps];
    const total = blocks.reduce((sum, [, { milliseconds }]) => sum + milliseconds, 0);
    return blocks.map(([block, { count, milliseconds }]) => ({
      ...{ block, calls: count, seconds: inSeconds(milliseconds) },
      share: total > 0 ? Math.round((1e4 * milliseconds) / total) / 1e4 : 0,
    }));
  }
}

/** The many equal layers of the image encoder count as one block. */
const nameOf = (path: string) => path.replace(/(encoder\.layers)\.\d+$/, '$1');

/** A table for people, with a warning where the times are not those of the computation. */
export function formatProfile(lines: ProfileLine[], backend: string): string {
  const sum = (name: 'seconds' | 'calls') => lines.reduce((total, line) => total + line[name], 0);
  const all = { block: 'all', calls: sum('calls'), seconds: sum('seconds'), share: 1 };
  const rows = [...lines, all].map(({ block, seconds, share, calls }) => [
    ...[block, seconds.toFixed(3), `${(100 * share).toFixed(1)} %`, `${calls}`],
  ]);
  const table = alignColumns([['block', 'seconds', 'share', 'calls'], ...rows], true);
  // On graphics cards, operations are only queued until something waits for a result.
  if (backend === 'webgpu')
    table.push(
      'On webgpu, work is handed over and done later: a time here is that of handing over ' +
        'work, or of waiting for results.',
    );
  return table.join('\n');
}
