import { expect } from 'chai';
import { localPath } from '../../src/files/localPath.ts';

describe('localPath', () => {
  it('is the path of an address, and any other text as it is', () => {
    expect(localPath('file:///a%20b.png')).to.equal('/a b.png');
    expect(localPath('a%20b.png')).to.equal('a%20b.png');
  });

  it('refuses an address of no file in words of its own', () => {
    for (const address of ['file:///a%ZZ.png', 'file:///a%2fb.png', 'file://host/a.png'])
      expect(() => localPath(address)).to.throw(`"${address}" is not the address of a file (`);
  });
});
