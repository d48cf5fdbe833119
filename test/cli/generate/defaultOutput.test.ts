import { expect } from 'chai';
import { defaultOutput, outputPaths } from '../../../src/cli/generate/defaultOutput.ts';
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

describe('outputPaths', () => {
  it('numbers several videos before the ending', () => {
    expect(outputPaths({ output: 'out.mp4', format: 'mp4' }, 1)).to.deep.equal(['out.mp4']);
    expect(outputPaths({ output: 'a.b/out.mp4', format: 'mp4' }, 2)).to.deep.equal([
      'a.b/out-0.mp4',
      'a.b/out-1.mp4',
    ]);
    expect(outputPaths({ output: 'frames/', format: 'png' }, 2)).to.deep.equal([
      'frames-0/',
      'frames-1/',
    ]);
  });

  it('puts several videos into one file of tensors', () => {
    expect(outputPaths({ output: 'out.safetensors', format: 'safetensors' }, 3)).to.deep.equal([
      'out.safetensors',
    ]);
  });
});
