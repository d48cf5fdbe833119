import { expect } from 'chai';
import { defaultOutput } from '../../../src/cli/generate/defaultOutput.ts';
import { readGenerateCommand } from './readCommand.ts';

describe('defaultOutput', () => {
  const free = () => false;
  it('is the name of the picture with the ending of the format', () => {
    expect(defaultOutput('a/rocket.v2.jpg', undefined, free)).to.equal('rocket.v2.mp4');
    expect(defaultOutput('https://example.org/b/c.png?size=1#x', 'gif', free)).to.equal('c.gif');
    expect(defaultOutput('-', 'png', free)).to.equal('video/');
    expect(defaultOutput('data:image/png;base64,AA', 'webp', free)).to.equal('video.webp');
  });

  it('never is one that exists', () => {
    const taken = ['rocket.mp4', 'rocket-2-0.mp4'];
    expect(defaultOutput('rocket.jpg', 'mp4', (path) => taken.includes(path))).to.equal(
      'rocket-3.mp4',
    );
  });

  it('is used where no output is passed', () => {
    expect(readGenerateCommand(['no-such.png', '--output-type', 'latent'])).to.include({
      output: 'no-such.safetensors',
      format: 'safetensors',
    });
    expect(readGenerateCommand(['package.jpg']).output).to.equal('package.mp4');
  });
});
