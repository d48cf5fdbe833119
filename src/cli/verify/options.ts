/** The options of `svd verify`. */

import { either } from '../../text/messages.ts';
import type { VerifyOptions } from '../../verification/verify.ts';
import { generateOptions } from '../generate/options.ts';
import { modelOptions, requiredModel } from '../hubModel.ts';
import { jsonOption, quietOption } from '../terminal/command.ts';
import { group, pick, type Values } from '../terminal/options.ts';
import { fileEnding } from '../terminal/values.ts';

const backends = [...generateOptions.backend.choices, 'all'] as const;
const stageInputs = ['own', 'reference'] as const satisfies VerifyOptions['stageInputs'][];

export const verifyOptions = {
  ...requiredModel,
  ...group('Files', 'reference', {
    reference: {
      value: 'FILE',
      files: ['.safetensors'],
      reads: true,
      required: 'the file that svd reference wrote',
      help: 'The file that svd reference wrote from the same checkpoint.',
    },
  }),
  variant: {
    ...modelOptions.variant,
    help: 'Read the weight files of this variant, such as fp16. Default: that of the reference.',
  },
  ...pick(modelOptions, 'unet', 'lora', 'revision', 'cacheDir', 'token', 'localFilesOnly'),
  ...group('Running', 'running', {
    backend: {
      choices: backends,
      otherValues: generateOptions.backend.otherValues,
      default: 'auto',
      help: `${either(backends)}. all runs every one that can be used, one after the other.`,
    },
    stageInputs: {
      choices: stageInputs,
      default: 'own',
      help:
        'own: each stage works on the result of the one before it, as in any call. reference: ' +
        'each works on what the reference has of it, and shows only its own error.',
    },
  }),
  ...pick(generateOptions, 'threads', 'formulation', 'offload'),
  ...group('Reporting', 'report', {
    blocks: {
      help: 'Print a row for every stage and block, not only for those above tolerance.',
    },
    report: {
      value: 'FILE',
      files: ['.html'],
      read: fileEnding('.html'),
      help:
        'Also write a page, one .html file, with a plot of the error by step, frames of both and ' +
        'their difference, and all rows.',
    },
    markdown: { help: 'Print Markdown, for the summary or a comment of a CI run on GitHub.' },
    ...jsonOption(", with all versions and the checkpoint's hashes"),
    ...quietOption,
  }),
};

/** A call of `svd verify`. */
export type VerifyCommand = Values<typeof verifyOptions>;
