/** A new option of `svd generate` is one entry of its table. */
import { expect } from 'chai';
import { completionScript } from '../../../src/cli/completion.ts';
import { generate } from '../../../src/cli/generate/command.ts';
import { generateOptions } from '../../../src/cli/generate/options.ts';
import { diffusersArguments, storedSettings } from '../../../src/cli/generate/storedSettings.ts';
import { helpOf } from '../../../src/cli/terminal/command.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';
import { group, partOf } from '../../../src/cli/terminal/options.ts';
import { alignYourSteps } from '../../../src/schedulers/index.ts';
import { readGenerateCommand } from './readCommand.ts';

describe('one more entry in the table of svd generate', () => {
  const options = {
    ...generateOptions,
    ...group('Sampling', 'call', {
      noiseColour: {
        choices: ['white', 'blue'],
        default: 'white',
        help: 'Colour of the noise: white or blue.',
      },
    }),
  };
  const needed = ['a.png', '--output', 'o.mp4'];
  const known = {
    ...{ height: 8, width: 8, numFrames: 1, decodeChunkSize: 1, seeds: [1] },
    ...({ backend: 'cpu', dtype: 'float32', offload: 'none' } as const),
  };

  it('is read, with its default and its refusals', () => {
    const read = (...args: string[]) => readGenerateCommand([...needed, ...args], options);
    expect(read()).to.include({ noiseColour: 'white' });
    expect(read('--noise-colour', 'blue')).to.include({ noiseColour: 'blue' });
    expect(() => read('--noise-colour', 'bleu')).to.throw(
      UsageError,
      '--noise-colour has to be one of white, blue but is "bleu". Did you mean blue?',
    );
    expect(() => read('--noise-color=blue')).to.throw(UsageError, 'Did you mean --noise-colour?');
  });

  it('is in the help', () => {
    const [, sampling] = helpOf({ ...generate, options }).split('Sampling:\n');
    expect(sampling.split('\n\n')[0]).to.contain(
      '\n  --noise-colour white|blue  Colour of the noise: white or blue. Default: white.',
    );
  });

  it('is completed', () => {
    const command = { name: 'generate', about: '', options };
    for (const shell of ['bash', 'zsh', 'fish'])
      expect(completionScript(shell, [command])).to.match(/noise-colour.*white blue/);
  });

  it("is passed to the call and stored in the output, there also by diffusers' name", () => {
    const command = readGenerateCommand([...needed, '--noise-colour', 'blue'], options);
    expect(partOf(command, options, 'call')).to.include({ noiseColour: 'blue' });
    const settings = storedSettings(command, known, options);
    expect(settings).to.include({ noiseColour: 'blue' });
    expect(diffusersArguments(settings, options)).to.include({ noise_colour: 'blue' });
  });
});

describe('Align Your Steps among the arguments of diffusers', () => {
  it('is its noise levels', () => {
    const command = readGenerateCommand([
      ...['a.png', '--output', 'o.mp4', '--schedule', 'ays', '--steps', '2'],
      ...['--scheduler', 'edm-euler'],
    ]);
    const known = {
      ...{ height: 8, width: 8, numFrames: 1, decodeChunkSize: 1, seeds: [1] },
      ...({ backend: 'cpu', dtype: 'float32', offload: 'none' } as const),
    };
    const settings = storedSettings(command, known);
    expect(settings).to.include({ schedule: 'ays', scheduler: 'edm-euler' });
    const { schedule, sigmas } = diffusersArguments(settings);
    expect([schedule, sigmas]).to.deep.equal([undefined, alignYourSteps(2)]);
  });
});
