/**
 * Rules for values that a user or a file sets. A rule says what is wrong with a value, in words
 * that follow its name, such as ` is 65, more than 64`; or nothing, if nothing is.
 */
import { either } from './messages.ts';
import { quoted } from './printable.ts';

/** A rule for one value. */
export type Rule = (value: unknown) => string | undefined;

const is = (value: unknown, why: string) => ` is ${quoted(value)}, ${why}`;

/** A finite number within limits. */
export const number =
  ({
    min = -Number.MAX_VALUE,
    max = Number.MAX_VALUE,
    above = Number.NEGATIVE_INFINITY,
  } = {}): Rule =>
  (value) => {
    if (typeof value !== 'number' || !Number.isFinite(value))
      return is(value, 'not a finite number');
    if (value > max) return is(value, `more than ${max}`);
    if (value < min) return is(value, `less than ${min}`);
    return value > above ? undefined : is(value, `not above ${above}`);
  };

/** A whole number within limits, divisible by `divisor`. */
export const whole = (min: number, max: number, divisor = 1): Rule => {
  const within = number({ min, max });
  return (value) => {
    if (!Number.isInteger(value)) return is(value, 'not a whole number');
    const remainder = (value as number) % divisor;
    return within(value) ?? (remainder ? is(value, `not divisible by ${divisor}`) : undefined);
  };
};

/** True or false. */
export const flag: Rule = (value) =>
  typeof value === 'boolean' ? undefined : is(value, 'not true or false');

/** A string. */
export const text: Rule = (value) =>
  typeof value === 'string' ? undefined : is(value, 'not a string');

/** One of some values. */
export const oneOf =
  (...allowed: (string | number)[]): Rule =>
  (value) =>
    allowed.includes(value as string) ? undefined : is(value, `not ${either(allowed.map(String))}`);

/** A list of `min` to `max` values with the same rule. */
export const listOf =
  (rule: Rule, min: number, max: number): Rule =>
  (value) => {
    if (!Array.isArray(value)) return is(value, 'not a list');
    const has = ` has ${value.length} ${value.length === 1 ? 'entry' : 'entries'}`;
    if (value.length > max) return `${has}, more than ${max}`;
    if (value.length < min) return `${has}, fewer than ${min}`;
    for (const [i, entry] of value.entries()) {
      const problem = rule(entry);
      if (problem !== undefined) return `[${i}]${problem}`;
    }
    return undefined;
  };

/** One value, or a list of at most `max` values, with the same rule. */
export const oneOrList = (rule: Rule, max: number): Rule => {
  const list = listOf(rule, 1, max);
  return (value) => (Array.isArray(value) ? list(value) : rule(value));
};

/**
 * What is wrong with a table of values, as the beginning of a sentence: the first value that breaks
 * the rule of its name. Values without a rule are passed over, and so are null and undefined, which
 * stand for defaults.
 */
export function firstProblem(
  rules: Record<string, Rule>,
  values: Record<string, unknown>,
): string | undefined {
  for (const [name, rule] of Object.entries(rules)) {
    const problem = (values[name] ?? undefined) === undefined ? undefined : rule(values[name]);
    if (problem !== undefined) return name + problem;
  }
  return undefined;
}
