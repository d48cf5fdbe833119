/** Configurations of schedulers: defaults, rules, and their `scheduler_config.json`. */
import { snakeCase } from '../text/cases.ts';
import { firstProblem, type Kind } from '../text/kinds.ts';
import { checkOptions } from '../text/options.ts';

/** What the configuration of a scheduler of one class holds. */
export interface ConfigTable<Config extends object> {
  className: string;
  /** diffusers' class defaults. */
  defaults: Config;
  /** The values that options may have. */
  rules: Record<keyof Config, Kind>;
  /** What is wrong between values that keep their rules, as the beginning of a sentence. */
  problem?: (config: Config, nameOf: NameOf) => string | undefined;
}

/** The key of an option where it was written: its name in code, or that in a file. */
export type NameOf = (option: string) => string;

const keysOf = <Config extends object>({ defaults }: ConfigTable<Config>) =>
  Object.keys(defaults) as (keyof Config & string)[];

const filledIn = <Config extends object>(
  table: ConfigTable<Config>,
  values: Record<string, unknown>,
  nameOf: NameOf,
) =>
  Object.fromEntries(
    keysOf(table).map((key) => [key, values[nameOf(key)] ?? table.defaults[key]]),
  ) as Config;

/**
 * What is wrong with values, if anything is, as the beginning of a sentence. `nameOf` makes a key of
 * them from an option's name: by default that of a `scheduler_config.json`.
 */
export function problemIn<Config extends object>(
  table: ConfigTable<Config>,
  values: Record<string, unknown>,
  nameOf: NameOf = snakeCase,
): string | undefined {
  const rules = keysOf(table).map((key) => [nameOf(key), table.rules[key]]);
  return (
    firstProblem(Object.fromEntries(rules), values) ??
    table.problem?.(filledIn(table, values, nameOf), nameOf)
  );
}

/**
 * Fills in defaults where a value is missing or null.
 * @throws When a value breaks its rule.
 */
function complete<Config extends object>(
  table: ConfigTable<Config>,
  values: Record<string, unknown>,
  nameOf: NameOf,
): Config {
  const problem = problemIn(table, values, nameOf);
  if (problem !== undefined) throw new Error(`The scheduler's ${problem}.`);
  return filledIn(table, values, nameOf);
}

/**
 * The whole configuration from some of its options.
 * @throws When an option is unknown or a value breaks its rule.
 */
export function completeConfig<Config extends object>(
  table: ConfigTable<Config>,
  options: Partial<Config>,
): Config {
  checkOptions(table.className, options, keysOf(table));
  return complete(table, { ...options }, (key) => key);
}

/**
 * The configuration in a parsed `scheduler_config.json`. Unknown keys are ignored.
 * @throws When a value breaks its rule.
 */
export const configFromJson = <Config extends object>(
  table: ConfigTable<Config>,
  json: Record<string, unknown>,
): Config => complete(table, json, snakeCase);

/** The configuration as `scheduler_config.json` holds it. */
export function configToJson<Config extends object>(
  table: ConfigTable<Config>,
  config: Readonly<Config>,
): Record<string, unknown> {
  const options = Object.fromEntries(keysOf(table).map((key) => [snakeCase(key), config[key]]));
  return { _class_name: table.className, _diffusers_version: '0.42.1', ...options };
}
