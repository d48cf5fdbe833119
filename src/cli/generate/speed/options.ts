/** Options of `svd generate` that save time and change the result a little. */
import { branchOf } from '../../../pipelines/sampling/deepCache.ts';
import type { DeepCacheOptions } from '../../../pipelines/types.ts';
import { UsageError } from '../../terminal/errors.ts';
import { group } from '../../terminal/options.ts';
import { type Reader, realNumbers } from '../../terminal/values.ts';

const twoNumbers = realNumbers({ min: 0 }, 2);
const readInterval: Reader<[number, number]> = (text, flag) => {
  const [low, high, ...more] = twoNumbers(text, flag);
  if (low <= high && more.length === 0) return [low, high];
  throw new UsageError(
    `--${flag} has to be two noise levels, the lower one first, but is "${text}".`,
  );
};

const DEFAULT_BRANCH = branchOf({ interval: 2 });
const readDeepCache: Reader<Required<DeepCacheOptions>> = (text, flag) => {
  const [, interval, branch = DEFAULT_BRANCH] =
    /^(\d{1,9})(?::(\d{1,9}))?$/.exec(text.trim()) ?? [];
  if (Number(interval) >= 1) return { interval: Number(interval), branch: Number(branch) };
  throw new UsageError(
    `--${flag} has to be INTERVAL or INTERVAL:BRANCH, whole numbers from 1 and from 0 on, but is ` +
      `"${text}".`,
  );
};

export const speedOptions = group('Sampling', 'call', {
  guidanceInterval: {
    value: 'LO,HI',
    read: readInterval,
    help:
      'Noise levels from LO to HI that have guidance; at others only its conditional half is ' +
      'computed, which halves the work. 0,50 changes little. Default: all.',
  },
  deepCache: {
    value: 'INTERVAL[:BRANCH]',
    read: readDeepCache,
    text: ({ interval, branch }: Required<DeepCacheOptions>) => `${interval}:${branch}`,
    help:
      'DeepCache: one of INTERVAL steps runs the whole UNet, the others only its outer layers, ' +
      'more of them with a higher BRANCH, from 0 on. 2 changes little. ' +
      `Default branch: ${DEFAULT_BRANCH}.`,
  },
});
