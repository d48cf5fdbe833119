/**
 * Names of config keys: snake_case in the JSON files of diffusers and transformers, camelCase here.
 */
import { camelCase, snakeCase } from '../../text/cases.ts';
import { checkArgument, kinds } from '../../text/options.ts';

/**
 * A JSON config with camelCase keys and the same values. Keys with a leading underscore
 * (`_class_name`, ...) and null values, which stand for defaults, are left out.
 */
export function camelCaseConfig(json: Record<string, unknown>): Record<string, unknown> {
  checkArgument('camelCaseConfig', json, kinds.object);
  const entries = Object.entries(json).filter(
    ([key, value]) => !key.startsWith('_') && value !== null,
  );
  return Object.fromEntries(entries.map(([key, value]) => [camelCase(key), value]));
}

/** The inverse of `camelCaseConfig`. */
export function snakeCaseConfig(config: Record<string, unknown>): Record<string, unknown> {
  checkArgument('snakeCaseConfig', config, kinds.object);
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [snakeCase(key), value]));
}
