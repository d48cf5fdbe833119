import { expect } from 'chai';
import { type Options, readArguments } from '../../../src/cli/terminal/arguments.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';

const options: Options = {
  height: { value: 'N', help: 'Height.' },
  'num-frames': { value: 'N', help: 'Frames.' },
  seed: { value: 'N', help: 'Seed.', many: true },
  output: { value: 'FILE', help: 'Output.', short: 'o' },
  json: { help: 'JSON.' },
  preview: { value: '[FILE]', files: ['.png'], alone: 'terminal', help: 'Preview.' },
};

describe('readArguments', () => {
  const refused = (args: string[], message: string | RegExp) =>
    expect(() => readArguments(args, options)).to.throw(UsageError, message);

  it('tells options, switches and positionals apart', () => {
    const given = readArguments(
      ['a.png', '--height', '64', '--json', 'b.png', '-o', 'out.mp4', '--', '--height'],
      options,
    );
    expect(given.positionals).to.deep.equal(['a.png', 'b.png', '--height']);
    expect(given.value('height')).to.equal('64');
    expect(given.value('output')).to.equal('out.mp4');
    expect(given.value('num-frames')).to.equal(undefined);
    expect(given.values('seed')).to.deep.equal([]);
    expect(given.has('json')).to.equal(true);
    expect(readArguments([], options).has('json')).to.equal(false);
  });

  it('refuses what stands where the file of an option may stand, and is perhaps meant so', () => {
    const doubt = (word: string) =>
      `--preview takes a .png file but is followed by "${word}". Name such a file, or pass --preview last.`;
    refused(['a.jpg', '--preview', 'p.jpg'], doubt('p.jpg'));
    refused(['--preview', 'p.jpg', '--height', '8', 'a.jpg'], doubt('p.jpg'));
    for (const [args, preview, operands] of [
      [['--preview', 'a.jpg'], 'terminal', ['a.jpg']],
      [['a.jpg', '--preview'], 'terminal', ['a.jpg']],
      [['a.jpg', '--preview', '--height', '8'], 'terminal', ['a.jpg']],
      [['--preview', 'p.png', 'a.jpg', 'b.jpg'], 'p.png', ['a.jpg', 'b.jpg']],
      [['--preview=terminal', 'a.jpg', 'b.jpg'], 'terminal', ['a.jpg', 'b.jpg']],
    ] as const) {
      const given = readArguments([...args], options);
      expect(given.value('preview')).to.equal(preview);
      expect(given.positionals).to.deep.equal(operands);
    }
  });

  it('takes values behind = and repeated options', () => {
    const given = readArguments(
      ['--height=64', '--seed', '1', '--seed=2', '--output=-o.mp4'],
      options,
    );
    expect(given.value('height')).to.equal('64');
    expect(given.values('seed')).to.deep.equal(['1', '2']);
    expect(given.value('output')).to.equal('-o.mp4');
  });

  it('takes negative numbers as values', () => {
    expect(readArguments(['--height', '-8'], options).value('height')).to.equal('-8');
    expect(readArguments(['--height', '-.5'], options).value('height')).to.equal('-.5');
    for (const value of ['-5,3', '-1.', '-1MB'])
      expect(readArguments(['--height', value, 'a'], options).value('height')).to.equal(value);
  });

  it('takes negative numbers without an option for unknown options, and for arguments behind --', () => {
    refused(['a', '-5'], 'there is no option -5.');
    expect(readArguments(['--', '-5'], options).positionals).to.deep.equal(['-5']);
  });

  it('refuses an unknown option and suggests the nearest', () => {
    refused(['--hieght', '64'], 'there is no option --hieght. Did you mean --height?');
    refused(['--num_frames=3'], 'there is no option --num_frames. Did you mean --num-frames?');
    refused(['--num'], 'Did you mean --num-frames?');
    refused(['--colour-profile', 'x'], /no option --colour-profile\.$/);
    refused(['-x'], 'there is no option -x.');
    refused(['--toString'], 'there is no option --toString.');
  });

  it('refuses a missing value', () => {
    refused(['--height'], '--height needs a value: --height N.');
    refused(['--height', '--json'], '--height needs a value');
    refused(['--height='], '--height needs a value');
    refused(['--output', '-o', 'x'], '--output needs a value');
    refused(['-o', '-a.mp4'], '--output needs a value: --output');
    refused(['--height', '-Infinity'], '--height needs a value');
  });

  it('refuses a value for the switches that every command has', () => {
    refused(['--help=1'], '--help takes no value but is given "1".');
    refused(['--debug=1'], '--debug takes no value but is given "1".');
  });

  it('refuses a value for a switch and an option given twice', () => {
    refused(['--json=yes'], '--json takes no value but is given "yes".');
    refused(['--height', '8', '--height', '16'], '--height is given twice. Pass it once.');
  });
});
