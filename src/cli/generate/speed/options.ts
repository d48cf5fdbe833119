/** Options of `svd generate` that save time and change the result a little. */
import { branchOf } from '../../../pipelines/sampling/deepCache.ts';
import type { DeepCacheOptions } from '../../../pipelines/types.ts';
import { UsageError } from '../../terminal/errors.ts';
import { flagOf, group } from '../../terminal/options.ts';
import { type Reader, twoNumbers } from '../../terminal/values.ts';

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
    read: twoNumbers({ min: 0 }),
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

/** What commands on references say of these options, by their flags: diffusers has none of them. */
export const notInReferences: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(speedOptions).map(([name, option]) => [
    flagOf(name, option),
    'It changes the result, and a reference is a call of diffusers, which has no such option.',
  ]),
);
