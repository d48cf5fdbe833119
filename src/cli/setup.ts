/** `svd setup tensorflow`: sets up the tensorflow backend, or removes it. */
import { removeTensorflow, setUpTensorflow } from '../backends/tensorflow/setup.ts';
import { oneOperand, subcommand } from './terminal/command.ts';
import { print } from './terminal/print.ts';

export const setup = subcommand({
  name: 'setup',
  usage: ['tensorflow [--gpu] [--remove]'],
  about: [
    'Links tfjs-node with a current TensorFlow from the Python package index, in a folder of ' +
      'the user. Needs Linux on x64, python3 with pip, and g++.',
    'The folder is stable-video-diffusion-tfjs in $XDG_DATA_HOME (~/.local/share), or ' +
      '$SVD_TENSORFLOW_DIR.',
  ],
  options: {
    gpu: { help: 'With CUDA 12 and its libraries, for NVIDIA graphics cards: 3 GB to download.' },
    remove: { help: 'Remove what was set up; with --gpu only the variant for graphics cards.' },
  },
  operands: oneOperand(['tensorflow']),
  async run({ gpu, remove }) {
    if (!remove) await setUpTensorflow({ gpu, log: print });
    else if ((await removeTensorflow({ gpu, log: print })).length === 0)
      print('Nothing is set up.');
    return 0;
  },
});
