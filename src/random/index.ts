/** Random numbers equal to PyTorch's. */
export { Generator } from './generator.ts';
export { randnTensor, toChannelsFirst } from './randnTensor.ts';
