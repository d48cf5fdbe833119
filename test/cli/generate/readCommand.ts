/** Reads the arguments of `svd generate` as the command does. */
import { generateCommand } from '../../../src/cli/generate/checkCommand.ts';
import { type GenerateCommand, generateOptions } from '../../../src/cli/generate/options.ts';
import { readArguments, readValues } from '../../../src/cli/terminal/arguments.ts';

/** The call of `svd generate` with these arguments. */
export function readGenerateCommand(args: string[], options = generateOptions): GenerateCommand {
  const given = readArguments(args, options);
  return generateCommand(readValues(given, options, 'generate'), given.positionals);
}
