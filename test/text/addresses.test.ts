import { expect } from 'chai';
import { shownAddress } from '../../src/text/addresses.ts';

describe('shownAddress', () => {
  const cases = {
    'https://x.org/a.png?X-Amz-Signature=secret': 'https://x.org/a.png',
    'https://x.org/a.png#secret': 'https://x.org/a.png',
    'HTTPS://me:secret@X.org/a@b.png': 'HTTPS://X.org/a@b.png',
    'https://secret@x.org': 'https://x.org',
    'https://me:sec@ret@x.org/': 'https://x.org/',
    ' http://x.org/?secret ': 'http://x.org/',
    'data:image/png;base64,secret': 'data:image/png',
    'data:,secret': 'data:',
    'a?b#c.png': 'a?b#c.png',
    '/me:secret@x.org/a.png': '/me:secret@x.org/a.png',
    'C:\\pictures\\a.png': 'C:\\pictures\\a.png',
  };
  for (const [address, shown] of Object.entries(cases))
    it(`of ${address}`, () => expect(shownAddress(address)).to.equal(shown));
});
