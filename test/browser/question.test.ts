/** The browser example asks before it downloads a model, and says what that means. */
import { expect } from 'chai';
import { PageUnderTest } from './pageUnderTest.ts';
import { told } from './recording.ts';

const small = { numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' };

/** All files in the storage of the page. Runs in the page. */
async function stored(): Promise<string[]> {
  const names: string[] = [];
  const list = async (folder: FileSystemDirectoryHandle) => {
    for await (const entry of (
      folder as unknown as { values(): AsyncIterable<FileSystemHandle> }
    ).values()) {
      if (entry.kind === 'directory') await list(entry as FileSystemDirectoryHandle);
      else names.push(entry.name);
    }
  };
  await list(await navigator.storage.getDirectory());
  return names;
}

describe('the browser example before a download', () => {
  const at = new PageUnderTest();
  beforeEach(async () => {
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ ...small, model: './artifacts' });
  });
  const weights = () => at.server.requests.filter((request) => /^GET .*\.bin$/.test(request));

  it('shows the size of the download and the memory of the call, and asks', async () => {
    await at.start();
    const question = await at.asked();
    expect(question.model).to.equal(`${at.server.address}artifacts`);
    expect(question.download).to.equal('15.0 MB');
    expect(question.storage).to.equal(
      'This browser keeps the weights, so that they are downloaded once.',
    );
    expect(question.memory).to.match(/^\d\.\d GiB for 2 frames of 32x32$/);
    expect(weights()).to.deep.equal([]);
    await at.page.click('#download-model');
    await at.ended(/^Done/);
    expect(weights()).to.have.length.above(3);

    // It is there now.
    await at.visit();
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ ...small, model: './artifacts' });
    await at.start();
    await at.ended(/^Done/);
    expect(await told(at.page, 'question')).to.deep.equal([]);
  });

  it('leaves nothing when the answer is no, and asks again', async () => {
    const context = await at.browser.newContext();
    await at.open(context);
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ ...small, model: './artifacts' });
    for (const decline of [
      () => at.page.click('#decline-model'),
      () => at.page.keyboard.press('Escape'),
    ]) {
      await at.start();
      await at.asked();
      await decline();
      await at.ended(/^Cancelled\.$/);
      expect(await at.page.isVisible('dialog')).to.equal(false);
      expect(await at.page.evaluate(stored)).to.deep.equal([]);
    }
    expect(weights()).to.deep.equal([]);
    await at.works();
    await context.close();
  });

  it('refuses a size that does not fit instead of asking', async () => {
    await at.fill({ numFrames: '8', width: '16384', height: '16384' });
    await at.start();
    await at.refused('width', /do not fit into memory: .* would fit\.$/);
    expect(weights()).to.deep.equal([]);
    await at.works();
  });

  for (const [what, estimate, room] of [
    [
      'too little room',
      { quota: 2e6, usage: 1e5 },
      'has room for 1.9 MB, too little to keep the weights',
    ],
    ['no room', { quota: 1, usage: 1 }, 'keeps nothing for this page'],
  ] as const)
    it(`says so if storage has ${what}, and reads from the server then`, async () => {
      const context = await at.browser.newContext();
      // The worker has a storage manager of its own.
      await context.route('**/worker.js', async (route) => {
        const response = await route.fetch();
        const script = `StorageManager.prototype.estimate = async () => (${JSON.stringify(estimate)});`;
        await route.fulfill({ response, body: `${script}${await response.text()}` });
      });
      await at.open(context);
      await at.page.selectOption('[name=backend]', 'wasm');
      await at.fill({ ...small, model: './artifacts' });
      await at.start();
      expect((await at.asked()).storage).to.equal(
        `This browser ${room}: they come from the server at each visit.`,
      );
      await at.page.click('#download-model');
      await at.ended(/^Done/);
      await context.close();
    });

  it('takes the question back when its worker dies, and works again', async () => {
    await at.start();
    await at.asked();
    await at.page.workers()[0]!.evaluate('self.close()');
    await at.ended(/^The worker has died/);
    expect(await at.page.isVisible('dialog')).to.equal(false);
    await at.works();
  });
});
