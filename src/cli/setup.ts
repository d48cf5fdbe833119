/** `svd setup`: brings what the tensorflow or the webgpu backend needs, or removes it. */
import { oneOperand, subcommand } from './terminal/command.ts';
import { UsageError } from './terminal/errors.ts';
import { print } from './terminal/print.ts';

export const setup = subcommand({
  name: 'setup',
  usage: ['tensorflow [--gpu] [--remove]', 'webgpu [--remove]'],
  about: [
    'tensorflow: links tfjs-node with a current TensorFlow from the Python package index. Needs ' +
      'Linux on x64, npm, python3 with pip, and g++.',
    'webgpu: brings the WebGPU of Chromium, for Vulkan, Metal or Direct3D 12. Needs npm.',
    'Both go into a folder of the user, so that every project finds them, and run no install ' +
      'scripts: stable-video-diffusion-tfjs in $XDG_DATA_HOME (~/.local/share), or ' +
      '$SVD_TENSORFLOW_DIR.',
  ],
  options: {
    gpu: { help: 'With CUDA 12 and its libraries, for NVIDIA graphics cards: 3 GB to download.' },
    remove: { help: 'Remove what was set up; with --gpu only the variant for graphics cards.' },
  },
  operands: oneOperand(['tensorflow', 'webgpu']),
  async run({ gpu, remove }, [what]) {
    const isWebgpu = what === 'webgpu';
    if (isWebgpu && gpu)
      throw new UsageError('--gpu is for svd setup tensorflow: webgpu has one variant.');
    const backends = await import('../backends/index.ts');
    const setUp = isWebgpu ? backends.setUpWebgpu : backends.setUpTensorflow;
    const removeAll = isWebgpu ? backends.removeWebgpu : backends.removeTensorflow;
    const options = { gpu, log: print };
    if (!remove) await setUp(options);
    else if ((await removeAll(options)).length === 0) print('Nothing is set up.');
    return 0;
  },
});
