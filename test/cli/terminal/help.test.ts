import { expect } from 'chai';
import { subcommands } from '../../../src/cli/subcommands.ts';
import { helpOf } from '../../../src/cli/terminal/command.ts';
import { formatHelp, wrap } from '../../../src/cli/terminal/help.ts';
import { commonOptions, flagOf, placeholderOf } from '../../../src/cli/terminal/options.ts';

describe('formatHelp', () => {
  it('lays out usage, groups and examples', () => {
    const text = formatHelp({
      usage: ['svd x A', 'svd x --help'],
      about: ['Does x.'],
      groups: {
        Options: { help: { short: 'h', help: 'Show this.' }, size: { value: 'N', help: 'Size.' } },
        Names: { one: 'The first.' },
      },
      examples: ['svd x 1'],
    });
    expect(text.split('\n')).to.deep.equal([
      'Usage: svd x A',
      '       svd x --help',
      '',
      'Does x.',
      '',
      'Options:',
      '  -h, --help                 Show this.',
      '  --size N                   Size.',
      '',
      'Names:',
      '  one                        The first.',
      '',
      'Examples:',
      '  svd x 1',
    ]);
  });

  it('moves the explanation below a long name', () => {
    const text = formatHelp({
      usage: ['x'],
      about: [],
      groups: { Options: { 'a-name-that-is-rather-long': { value: 'VALUE', help: 'Text.' } } },
    });
    expect(text).to.match(/--a-name-that-is-rather-long VALUE\n {29}Text\.$/);
  });
});

describe('wrap', () => {
  it('breaks lines at spaces', () => {
    expect(wrap('one two three', 7)).to.deep.equal(['one two', 'three']);
    expect(wrap('unbreakable a', 4)).to.deep.equal(['unbreakable', 'a']);
  });
});

describe('the help of each command', () => {
  for (const [name, { load }] of Object.entries(subcommands)) {
    it(`names every option of svd ${name} with its value, in 80 columns`, async () => {
      const command = await load();
      const text = helpOf(command);
      for (const [key, option] of Object.entries({ ...command.options, ...commonOptions })) {
        const label = [`--${flagOf(key, option)}`, placeholderOf(option) ?? []].flat().join(' ');
        expect(text).to.match(
          new RegExp(`^  (-\\w, )?${label.replaceAll(/[|[\]]/g, '\\$&')}( |$)`, 'm'),
        );
        for (const choice of option.choices ?? []) expect(text).to.contain(choice);
      }
      expect(Math.max(...text.split('\n').map((line) => line.length))).to.be.at.most(80);
    });
  }
});
