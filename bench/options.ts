/** The options of `npm run bench`. */
import { type Options, readArguments } from '../src/cli/terminal/arguments.ts';
import { UsageError } from '../src/cli/terminal/errors.ts';
import { calls } from './calls.ts';
import { cardCases } from './card/cases.ts';
import { cases } from './cases.ts';
import { conversions } from './convert.ts';
import { series } from './growth.ts';
import { shortcuts } from './quality.ts';
import { queueCases } from './queue.ts';

export const benchOptions: Options = {
  case: {
    value: 'NAME',
    many: true,
    help: 'Run only this case; may be repeated. Default: all.',
  },
  rounds: { value: 'N', help: 'Rounds of each case. Default: 5; some cases have fewer.' },
  json: {
    value: 'FILE',
    help:
      'Write the results to FILE. Default: bench/results/latest.json; with --card, ' +
      'card-DEVICE.json beside it.',
  },
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
  quality: {
    help:
      'Measure what shortcuts of sampling save and change, with the small model. --list with it ' +
      'names them.',
  },
  queue: {
    help: `Measure svd queue beside svd batch. --case then takes ${queueCases.join(', ')}.`,
  },
  card: {
    help:
      'Compare and measure on a graphics card, within ten minutes; without one on the processor, ' +
      'with small sizes. --list with it names the cases.',
  },
  help: { short: 'h', help: 'Show this text.' },
};

/**
 * What is asked for.
 * @throws UsageError if an argument is unknown or its value is not valid.
 */
export function readOptions(args: string[]) {
  const given = readArguments(args, benchOptions);
  if (given.positionals.length > 0)
    throw new UsageError(`cases are chosen with --case: use --case ${given.positionals[0]}.`);
  const kinds = ['growth', 'calls', 'conversions', 'quality', 'queue', 'card'] as const;
  const others = kinds.filter((name) => given.has(name));
  if (others.length > 1)
    throw new UsageError(`--${others[0]} and --${others[1]} cannot be combined: use one of them.`);
  const [kind = 'cases'] = others;
  const known = {
    cases: Object.keys(cases),
    growth: series,
    calls,
    conversions,
    quality: shortcuts,
    queue: queueCases,
    card: cardCases,
  }[kind];
  const names = given.has('case') ? given.values('case') : known;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`there is no case "${unknown}". The cases are ${known.join(', ')}.`);
  const text = given.value('rounds');
  const rounds = text === undefined ? undefined : Number(text);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new UsageError(`--rounds has to be a whole number of 1 or more but is "${text}".`);
  }
  const json = given.value('json');
  return { help: given.has('help'), list: given.has('list'), kind, names, rounds, json };
}
