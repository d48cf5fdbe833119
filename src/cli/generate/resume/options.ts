/** The option of `svd generate` on states of calls that have not ended. */
import { group } from '../../terminal/options.ts';

export const resumeOptions = group('Running', 'machine', {
  noResume: {
    help:
      'Start anew. A call that takes more than another minute keeps its state in ' +
      'OUTPUT.resume.safetensors, if the output is a file or a folder, until it has ended; the ' +
      'same command goes on from there. With --deep-cache, it is kept before steps in full.',
  },
});
