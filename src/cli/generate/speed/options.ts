/** Options of `svd generate` that save time and change the result a little. */
import { DEEP_CACHE_BRANCH } from '../../../pipelines/defaults.ts';
import type { DeepCacheOptions } from '../../../pipelines/types.ts';
import {
  otherSchedule,
  otherScheduler,
  scheduleNames,
  schedulerNames,
} from '../../../schedulers/names.ts';
import { UsageError } from '../../terminal/errors.ts';
import { flagOf, group } from '../../terminal/options.ts';
import { type Reader, twoNumbers } from '../../terminal/values.ts';

const readDeepCache: Reader<Required<DeepCacheOptions>> = (text, flag) => {
  const [, interval, branch = DEEP_CACHE_BRANCH] =
    /^(\d{1,9})(?::(\d{1,9}))?$/.exec(text.trim()) ?? [];
  if (Number(interval) >= 1) return { interval: Number(interval), branch: Number(branch) };
  throw new UsageError(
    `--${flag} has to be INTERVAL or INTERVAL:BRANCH, whole numbers from 1 and from 0 on, but is ` +
      `"${text}".`,
  );
};

const lessPerStep = group('Sampling', 'call', {
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
      `Default branch: ${DEEP_CACHE_BRANCH}.`,
  },
});

export const speedOptions = {
  ...group('Sampling', 'loading', {
    scheduler: {
      choices: schedulerNames,
      otherValues: otherScheduler,
      help:
        'The sampler: euler is that of the published models; edm-euler is the same in another ' +
        'form; dpmpp-2m is DPM-Solver++ of second order; dpmpp-2m-sde adds noise in each step; ' +
        'animatelcm is for the weights of AnimateLCM-SVD, with 4 to 8 steps and no guidance. ' +
        'Default: that of the checkpoint.',
    },
  }),
  ...group('Sampling', 'call', {
    schedule: {
      choices: scheduleNames,
      otherValues: otherSchedule,
      help:
        'Other noise levels for as many steps: ays is Align Your Steps, of which 12 do the work ' +
        'of 25 plain ones. Default: those of the sampler.',
    },
  }),
  ...lessPerStep,
  ...group('Sampling', 'choice', {
    fast: {
      help:
        'Take the shortcuts that change the video least for the time they save: 12 steps of ' +
        '--schedule ays, --guidance-interval 0,50, --deep-cache 2, and --dtype bfloat16 where ' +
        'that is faster. ' +
        'What you pass goes before. It prints what it takes.',
    },
  }),
};

/** What commands on references say of options that diffusers has not, by their flags. */
export const notInReferences: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(lessPerStep).map(([name, option]) => [
    flagOf(name, option),
    'It changes the result, and a reference is a call of diffusers, which has no such option.',
  ]),
);
