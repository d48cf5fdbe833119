/** The faster way of `--fast`: the shortcuts that change the frames least for the time they save. */
import { DEEP_CACHE_BRANCH } from '../../../pipelines/defaults.ts';
import { UsageError } from '../../terminal/errors.ts';
import { flagOf, type Option, type Values } from '../../terminal/options.ts';
import { NOT_FAST } from '../checkCommand.ts';
import { type GenerateCommand, generateOptions } from '../options.ts';
import { isUnguided } from '../withoutEffect.ts';

type GenerateValues = Values<typeof generateOptions>;

/** Twelve steps of Align Your Steps, half of them by DeepCache, and guidance where it shows. */
export const FAST = {
  schedule: 'ays',
  numInferenceSteps: 12,
  guidanceInterval: [0, 50],
  deepCache: { interval: 2, branch: DEEP_CACHE_BRANCH },
} satisfies Partial<GenerateValues>;

/**
 * The values of a call with `--fast`. What was passed goes before what it chooses.
 * @param given Whether an option was passed.
 * @throws UsageError if the scheduler is one that needs no shortcuts.
 */
export function fastValues(
  values: GenerateValues,
  given: (name: string) => boolean,
): GenerateValues {
  if (values.scheduler === 'animatelcm') throw new UsageError(NOT_FAST);
  const hasNoEffect: Record<string, boolean> = {
    schedule: given('sigmas'),
    numInferenceSteps: given('sigmas'),
    guidanceInterval: isUnguided(values),
  };
  const choices = Object.entries(FAST).filter(([name]) => !given(name) && !hasNoEffect[name]);
  // Those of an output that is repeated give way to the schedule.
  const sigmas = given('sigmas') ? values.sigmas : undefined;
  return { ...values, sigmas, ...Object.fromEntries(choices) };
}

/**
 * The call of `--fast` on the backend in use: in bfloat16 where that takes less time, unless a type
 * was passed.
 * @param savesTime Finds out whether bfloat16 takes less time, which takes time itself.
 */
export function fastCommand(command: GenerateCommand, savesTime: () => boolean): GenerateCommand {
  return command.fast && command.dtype === undefined && savesTime()
    ? { ...command, dtype: 'bfloat16' }
    : command;
}

/** A sentence that says what `--fast` has chosen, and what that changes. */
export function fastNote(command: GenerateCommand): string {
  const names = [...(Object.keys(FAST) as (keyof typeof FAST)[]), 'dtype' as const];
  const words = names.flatMap((name) => {
    const value = name === 'numInferenceSteps' && command.sigmas ? undefined : command[name];
    const option: Option = generateOptions[name];
    const { text = String } = option;
    return value === undefined ? [] : [`--${flagOf(name, option)} ${text(value as never)}`];
  });
  return (
    `--fast takes ${words.join(' ')}. The video differs a little from that of 25 plain steps in ` +
    'float32: docs/speed.md says how much'
  );
}
