/** `svd completion`. */
import { subcommand } from './terminal/command.ts';
export const completion = subcommand({
  name: 'completion',
  usage: [],
  about: [],
  options: {},
  operands: { choices: ['bash', 'zsh', 'fish'] },
  async run() {
    return 0;
  },
});
