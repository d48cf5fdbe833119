/** The options of commands that make many videos. */
import { generateOptions, otherNames } from '../generate/options.ts';
import { group } from '../terminal/options.ts';

const { output, dump, profile, ...ofMany } = generateOptions;

/** The options of `svd generate` that stand for every picture. */
export const manyOptions = {
  ...ofMany,
  ...group('Files', 'report', {
    outputDir: {
      value: 'DIR',
      short: 'o',
      files: ['/'],
      required: 'the folder for the videos',
      help:
        'The folder for the videos, which is made if it is not there. Each has the name of its ' +
        'picture, and the ending of --format, or .mp4.',
    },
  }),
};

/** The options of `svd generate` that a row of a manifest has as columns. */
export const rowOptions = (() => {
  const { output, preview, profile, json, quiet, ...ofRows } = generateOptions;
  return ofRows;
})();

/** Options that are not for many pictures, with what to do instead. */
export const namesOfOne: Record<string, string> = {
  ...otherNames,
  output: 'Each video has its own file: use --output-dir, or a manifest with a column output.',
  dump: 'Each call dumps into its own file: use a manifest with a column dump.',
  profile: 'It is for one call: svd generate --profile.',
  image: 'Pictures are arguments: files, folders, patterns or manifests.',
  input: 'Pictures are arguments: files, folders, patterns or manifests.',
  resume: 'Run the same command again: it goes on with what is not complete.',
};
