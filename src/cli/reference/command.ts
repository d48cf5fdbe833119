/** `svd reference`: lets diffusers compute what `svd verify` compares with. */
import { notInReferences } from '../generate/speed/options.ts';
import { subcommand } from '../terminal/command.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { referenceOptions } from './options.ts';

export const reference = subcommand({
  name: 'reference',
  usage: ['IMAGE... --model DIR|ORG/NAME --output FILE [options]'],
  about: [
    'Runs diffusers in Python, and writes the tensors of every stage of the call, for svd verify. ' +
      'All arithmetic is float32 on the processor, which takes hours for whole videos of the ' +
      'published models: a small size, a few frames and steps show as much.',
    'The first call makes a Python environment in stable-video-diffusion-tfjs in $XDG_DATA_HOME ' +
      '(~/.local/share), or in $SVD_REFERENCE_DIR: 300 MB to download, 1.5 GB there. It needs uv, ' +
      'or Python 3.11 with pip, and takes packages from the index that these are set to, but ' +
      'torch, where it can, from the builds of its project without CUDA.',
  ],
  examples: [
    'svd reference rocket.jpg --model svd-xt --height 320 --width 576 \\\n' +
      '  --num-frames 14 --num-inference-steps 5 --decode-chunk-size 4 --blocks \\\n' +
      '  --output reference.safetensors',
    'svd verify --model svd-xt --reference reference.safetensors',
  ],
  options: referenceOptions,
  otherNames: notInReferences,
  operands: {
    takes: 'one IMAGE or several',
    files: ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tiff'],
    valid: (operands) => operands.length > 0,
  },
  async run(values, images) {
    const command = { ...values, images, json: false };
    await runSession(command, async (session) =>
      (await import('./makeReference.ts')).makeReference(command, session),
    );
    print(command.output);
    return 0;
  },
});
