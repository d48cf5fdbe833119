/** The browser example tells its user what is wrong, beside the field that is, and goes on. */
import { expect } from 'chai';
import { PageUnderTest, picture } from './pageUnderTest.ts';
import { processorSeconds, told } from './recording.ts';

describe('the browser example', () => {
  const at = new PageUnderTest();

  it('says where backends are chosen that there is no WebGPU, or no card for it', async () => {
    const note = at.page.locator('#backend-note');
    await note.filter({ hasText: /^WebGPU finds no graphics card here, so auto/ }).waitFor();
    expect(await at.page.getAttribute('[name=backend]', 'aria-describedby')).to.match(
      / backend-note$/,
    );
    await at.page.addInitScript('delete Navigator.prototype.gpu');
    await at.visit();
    await note.filter({ hasText: /^This browser has no WebGPU, so auto takes wasm\.$/ }).waitFor();
  });

  it('says so if WebGPU is asked for and not there', async () => {
    await at.page.selectOption('[name=backend]', 'webgpu');
    await at.start();
    await at.refused('backend', /No backend can be used: webgpu: /);
  });

  it(
    'takes a model that wasm has room for only block by block, says what is wrong with its weights, ' +
      'and makes a video of another one then',
    async () => {
      await at.page.selectOption('[name=backend]', 'wasm');
      await at.fill({
        model: './large',
        numInferenceSteps: '1',
        numFrames: '2',
        width: '32',
        height: '32',
      });
      await at.start();
      await at.page.click('#download-model');
      await at.refused(
        'model',
        /large\/image_encoder\/model\.safetensors is truncated: \d+ of the \d+ bytes that its header describes are missing\. Copy or download it again\.$/,
      );
      expect(at.server.requests).to.include('GET /large/unet/config.json');
      expect(await at.page.getAttribute('canvas', 'width')).to.equal('0');
      expect(await at.page.isVisible('#download')).to.equal(false);
      await at.fill({ model: './model' });
      await at.page.click('#start:enabled');
      await at.ended(/^Done/);
    },
  );

  it(
    'refuses at once a size that wasm has no room for, whether the model is there already or ' +
      'not, and names one that it has',
    async () => {
      const message =
        /^8 frames of 16384x16384 do not fit into memory: encoding needs more than \d+\.\d GiB and WebAssembly has 4\.0 GiB\. 8 frames of (\d+)x\1 would fit\.$/;
      await at.page.selectOption('[name=backend]', 'wasm');
      for (const loaded of [false, true]) {
        const before = (await told(at.page, 'progress')).length;
        await at.fill({ numFrames: '8', width: '16384', height: '16384' });
        const used = await processorSeconds(at.browser);
        await at.start();
        await at.refused('width', message);
        expect((await processorSeconds(at.browser)) - used, 'seconds').to.be.below(20);
        expect((await told(at.page, 'progress')).length, 'progress').to.equal(before);
        if (!loaded)
          expect(
            at.server.requests.filter((request) => request.endsWith('.safetensors')),
          ).to.deep.equal([]);
        await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
        await at.page.click('#start:enabled');
        await at.ended(/^Done/);
      }
    },
  );

  it('says so if there is no model at the address, or it is not to be had', async () => {
    const cases = [
      {
        field: 'model',
        values: { model: './nowhere' },
        message: /nowhere\/model_index.json cannot be downloaded: the server answers 404/,
      },
      {
        field: 'variant',
        values: { variant: 'fp64' },
        message: /image_encoder\/ has no model\.fp64\.safetensors/,
      },
      // It does not allow its use to other sites.
      {
        field: 'model',
        values: { model: at.elsewhere.address },
        message: /model_index.json cannot be reached\. .+ \(CORS\)\.$/,
      },
      {
        field: 'model',
        values: { model: 'http://localhost:1/model' },
        message: /localhost:1\/model\/model_index.json cannot be reached/,
      },
    ];
    at.elsewhere.headers = {};
    await at.page.selectOption('[name=backend]', 'wasm');
    for (const { field, values, message } of cases) {
      await at.fill({ model: './model', variant: '', ...values });
      await at.start();
      await at.refused(field, message);
      expect(await at.page.textContent('#status')).to.equal('No video yet.');
    }
  });

  it('names an address that is none, and goes on with the next one', async () => {
    await at.page.selectOption('[name=backend]', 'wasm');
    const wrong = ['http://', 'http://:80/model', 'C:\\models\\svd', 'file:///models/svd'];
    for (const address of wrong) {
      await at.fill({ model: address });
      await at.start();
      await at.refused(
        'model',
        / is not the address of a folder on a web server\. Enter one such as \.\/model /,
      );
      expect(await at.page.textContent('#model-error')).to.include(`"${address}"`);
      expect(await at.page.isDisabled('#cancel')).to.equal(true);
    }
    await at.works();
  });

  it('names numbers that cannot be used, and opens the settings to show them', async () => {
    await at.page.setInputFiles('#file', picture);
    const wrong = [
      ['width', '60', 'Width is 60. Enter a multiple of 8, at least 8.'],
      ['numFrames', '2.5', 'Frames is 2.5. Enter a whole number, at least 1.'],
      ['fps', '61', 'Frames per second is 61. Enter a whole number from 1 to 60.'],
      ['maxGuidanceScale', '', 'Final guidance is not a number. Enter a number, at least 1.'],
    ] as const;
    for (const [field, value, message] of wrong) {
      const before = await at.page.inputValue(`[name=${field}]`);
      await at.fill({ [field]: value });
      await at.page.click('summary');
      await at.page.click('#start');
      await at.refused(field, new RegExp(`^${message.replaceAll('.', '\\.')}$`));
      expect(await at.page.evaluate(() => document.activeElement!.getAttribute('name'))).to.equal(
        field,
      );
      await at.fill({ [field]: before });
      expect(await at.page.textContent(`#${field}-error`), 'once it is changed').to.equal('');
    }
  });

  it('asks for a picture where there is none', async () => {
    await at.page.click('#start');
    await at.refused('file', /^There is no picture yet\. Choose one, or start with a sample\.$/);
    expect(at.page.workers()).to.deep.equal([]);
  });

  for (const [how, script, message] of [
    ['with an error', 'setTimeout(() => { throw new Error("it broke.") })', /: .*it broke\. Start/],
    ['silently', 'self.close()', /: there may not be enough memory\. Start again /],
  ] as const) {
    it(`says so when its worker dies ${how}, and starts another one for the next video`, async () => {
      const died = new RegExp(`^The worker has died${message.source}`);
      await (await at.computing()).evaluate(script);
      await at.ended(died);
      expect(await at.page.getAttribute('canvas', 'width')).to.equal('0');
      expect(await at.page.isDisabled('#cancel')).to.equal(true);
      await at.works();

      await at.page.workers()[0].evaluate(script);
      await at.ended(died);
      expect(await at.page.isVisible('video'), 'the finished video').to.equal(true);
      await at.works();
    });
  }

  it('says so when its worker cannot be loaded, and tries again for the next video', async () => {
    await at.page.route('**/worker.js', (route) => route.abort());
    await at.start();
    await at.ended(/^The worker has died: its program cannot be loaded\. Start again /);
    await at.page.unroute('**/worker.js');
    await at.works();
  });

  it('starts another worker after one that failed while it computed', async () => {
    const worker = await at.computing();
    // Holds for the worker's life, as the loss of its graphics card does.
    await worker.evaluate(() => {
      const { postMessage } = globalThis as unknown as Worker;
      globalThis.postMessage = (message: { type: string }) => {
        if (message.type === 'preview') throw new Error('It is lost.');
        postMessage(message);
      };
    });
    await at.ended(/^It is lost\.$/);
    expect(await at.page.getAttribute('canvas', 'width')).to.equal('0');
    await at.works();
  });

  it('ends a worker that is too busy to be cancelled, and starts another one then', async () => {
    const worker = await at.computing();
    await worker.evaluate('self.onmessage = null; setTimeout(() => { for (;;); })');
    await at.page.click('#cancel');
    expect(await at.page.isDisabled('#cancel')).to.equal(true);
    await at.ended(/^Cancelled\. The worker did not answer, so it was ended\. /);
    await at.works();
  });
});
