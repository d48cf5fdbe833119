import { expect } from 'chai';
import { isSingleFile } from '../../src/checkpoints/diffusers/names.ts';
import { framesByName } from '../../src/checkpoints/original/publishedConfigs.ts';
import { tensorFile } from '../../src/cli/terminal/values.ts';
import { hasEnding } from '../../src/text/endings.ts';

describe('hasEnding', () => {
  it('takes small and capital letters', () => {
    expect(hasEnding('A.SafeTensors', '.json', '.safetensors')).to.equal(true);
    expect(hasEnding('a.safetensors.part', '.json', '.safetensors')).to.equal(false);
  });

  it('is how weight files are recognised', () => {
    expect(isSingleFile('SVD_XT.SAFETENSORS')).to.equal(true);
    expect(isSingleFile('svd.CKPT')).to.equal(true);
    expect(framesByName('models/SVD_XT.SAFETENSORS')).to.equal(25);
    expect(tensorFile('A.SAFETENSORS', 'dump')).to.equal('A.SAFETENSORS');
  });
});
