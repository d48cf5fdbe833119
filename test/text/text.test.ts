/** How amounts, names and numbers of things are written in messages. */
import { expect } from 'chai';
import { formatBytes, formatFileSize, formatShare } from '../../src/text/bytes.ts';
import { camelCase, kebabCase, snakeCase } from '../../src/text/cases.ts';
import { counted, either, firstLineOf, joined, messageOf } from '../../src/text/messages.ts';

describe('texts', () => {
  it('write amounts of memory in binary and of disk in decimal units', () => {
    expect([1, 2 ** 29, 2 ** 30, 7.34 * 2 ** 30].map(formatBytes)).to.deep.equal([
      ...['1 MiB', '512 MiB', '1.0 GiB', '7.3 GiB'],
    ]);
    expect([900, 64e6, 1.2e9].map(formatFileSize)).to.deep.equal(['0.9 kB', '64.0 MB', '1.2 GB']);
    expect(formatShare(1.2e9, 4.6e9)).to.equal('1.2 of 4.6 GB');
  });

  it('write a name in the case of code, configs and options', () => {
    expect(['num_frames', 'up_blocks.0', 'model'].map(camelCase)).to.deep.equal([
      ...['numFrames', 'upBlocks.0', 'model'],
    ]);
    expect(snakeCase('minGuidanceScale')).to.equal('min_guidance_scale');
    expect(kebabCase('minGuidanceScale')).to.equal('min-guidance-scale');
  });

  it('count things and list choices', () => {
    expect([counted(1, 'frame'), counted(25, 'frame')]).to.deep.equal(['1 frame', '25 frames']);
    expect(either(['bash', 'zsh', 'fish'])).to.equal('bash, zsh or fish');
    expect(joined([1, 2, 3])).to.equal('1, 2 and 3');
  });

  it('hold the message of whatever was thrown', () => {
    expect(messageOf(new Error('one'))).to.equal('one');
    expect(messageOf('text')).to.equal('text');
    expect(firstLineOf(new Error('first \nsecond'))).to.equal('first');
  });
});
