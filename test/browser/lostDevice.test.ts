/** The browser example when its graphics card is taken away. */
import { expect } from 'chai';
import type { Browser } from 'playwright-core';
import { launchWithGpu, PageUnderTest } from './pageUnderTest.ts';

describe('the browser example on a device that is lost', () => {
  const at = new PageUnderTest();
  let browser: Browser;
  before(async () => {
    // Chromium gives up graphics after a few crashes in a row.
    browser = await launchWithGpu(
      '--disable-gpu-process-crash-limit',
      '--disable-domain-blocking-for-3d-apis',
    );
  });
  after(() => browser.close());

  it('says what ran, and makes the next videos on another one', async () => {
    await at.open(browser);
    await at.page.selectOption('[name=backend]', 'webgpu');
    await at.fill({ numInferenceSteps: '500', numFrames: '2', width: '32', height: '32' });
    await at.start();
    await at.ended(/^Sampling [1-9]/);
    expect(await at.page.textContent('#backend-note')).to.equal('');
    const session = await browser.newBrowserCDPSession();
    await session.send('Browser.crashGpuProcess').catch(() => {}); // has no answer
    await at.ended(
      /^The webgpu device was lost while [\w.]+ ran: .+\. The next video starts on another one\.$/,
    );
    await at.works();

    // Nothing runs now.
    await at.page.workers()[0]!.evaluate('_tfengine.backend.device.destroy()');
    await at.works();
    expect(await at.page.textContent('#backend')).to.equal('Computes on webgpu.');
  });
});
