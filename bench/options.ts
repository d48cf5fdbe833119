/** The options of `npm run bench`. */
import type { Options } from '../src/cli/terminal/arguments.ts';
import { calls } from './calls.ts';
import { conversions } from './convert.ts';
import { series } from './growth.ts';

export const benchOptions: Options = {
  case: {
    value: 'NAME',
    many: true,
    help: 'Run only this case; may be repeated. Default: all.',
  },
  rounds: { value: 'N', help: 'Rounds of each case. Default: 5; some cases have fewer.' },
  json: { value: 'FILE', help: 'Write the results to FILE. Default: bench/results/latest.json.' },
  list: { help: 'List the cases.' },
  growth: {
    help: `Measure how time and memory grow. The values of --case are then ${series.join(', ')}.`,
  },
  calls: {
    help: `Measure whole calls at full size. The values of --case are then ${calls.join(', ')}.`,
  },
  conversions: {
    help: `Measure conversions and copies. --case then takes ${conversions.join(', ')}.`,
  },
  help: { short: 'h', help: 'Show this text.' },
};
