/** Wrong arguments of opening a model behind a URL. */

import { expect } from 'chai';
import { openUrl } from '../../../src/checkpoints/web/openUrl.ts';
import { messageOf } from '../../network/servers.ts';

describe('openUrl', () => {
  it('refuses options that it has not', async () => {
    const open = (options: object) => messageOf(() => openUrl('http://127.0.0.1:1/', options));
    expect(await open({ revision: 'main' })).to.include('`openUrl` has no option `revision`.');
    expect(await open({ onBytes: true })).to.include('`onBytes` has to be a function');
  });

  it('takes a URL, and says what is no address', async () => {
    expect(await messageOf(() => openUrl(new URL('http://127.0.0.1:1/m')))).to.include(
      'http://127.0.0.1:1/m/model_index.json',
    );
    for (const wrong of ['', 'models/tiny', 'http://['])
      expect(await messageOf(() => openUrl(wrong))).to.include('is not an address');
  });
});
