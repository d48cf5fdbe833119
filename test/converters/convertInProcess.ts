/**
 * Converts in a process of its own, which tells of its progress: `tsx convertInProcess.ts INPUT
 * OUTPUT OPTIONS`.
 */
import { convertCheckpoint } from '../../converters/index.ts';

const [input, output, options] = process.argv.slice(2);
console.log('ready');
await convertCheckpoint(input, output, {
  ...JSON.parse(options),
  onProgress: ({ step }) => process.stdout.write(`${step}\n`),
});
