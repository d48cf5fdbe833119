/** The browser example has no finding of axe in any state, and moves little where that is wished. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PageUnderTest, picture } from './pageUnderTest.ts';
import { told } from './recording.ts';

const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
type Axe = { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };

describe('the browser example for everybody', () => {
  const at = new PageUnderTest();

  /** Expects no finding in the state of the page. */
  const clean = async (state: string) => {
    await at.page.evaluate(axe);
    const { violations } = await at.page.evaluate(() =>
      (window as unknown as { axe: Axe }).axe.run(),
    );
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`);
    expect(found, state).to.deep.equal([]);
  };

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [400, 1400]) {
      it(`has no finding of axe, ${colorScheme}, ${width} pixels wide`, async () => {
        await at.page.close();
        await at.open(at.browser, { colorScheme, viewport: { width, height: 900 } });
        await clean('all settings');
        await at.page.click('summary');
        await clean('at first');
        expect(
          await at.page.evaluate(() => document.documentElement.scrollWidth),
          'wide contents',
        ).to.equal(width);
        await at.page.click('#start');
        await at.refused('file', /^There is no picture yet/);
        await clean('without a picture');
        await at.page.click('summary');
        await at.fill({ model: 'http://' });
        await at.start();
        await at.refused('model', /is not the address/);
        await clean('with an error');
        await at.fill({ model: './artifacts' });
        await at.page.click('#start');
        await at.asked();
        await clean('with a question');
        await at.page.keyboard.press('Escape');
        await at.ended(/^Cancelled/);
        await at.fill({ model: './model' });
        await (await at.computing()).evaluate('0');
        await clean('while it computes');
        await at.page.click('#cancel');
        await at.ended(/^Cancelled/);
        await clean('cancelled');
        await at.works();
        await clean('with a video');
        await at.page.workers()[0]!.evaluate('self.close()');
        await at.ended(/^The worker has died/);
        await clean('with a dead worker');
      });
    }
  }

  it('moves neither previews nor the video where little motion is wished', async () => {
    await at.page.close();
    await at.open(at.browser, { reducedMotion: 'reduce' });
    await at.page.evaluate(() => {
      const { putImageData } = CanvasRenderingContext2D.prototype;
      Object.assign(window, { drawn: 0 });
      CanvasRenderingContext2D.prototype.putImageData = function (...args: unknown[]) {
        (window as unknown as { drawn: number }).drawn++;
        return putImageData.apply(this, args as Parameters<typeof putImageData>);
      };
    });
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.page.setInputFiles('#file', picture);
    await at.fill({ numInferenceSteps: '4', numFrames: '2', width: '32', height: '32' });
    await at.page.click('#start');
    await at.ended(/^Done/);
    const drawn = await at.page.evaluate(() => (window as unknown as { drawn: number }).drawn);
    expect(drawn).to.equal((await told(at.page, 'preview')).length);
    expect(await at.page.evaluate(() => document.querySelector('video')!.paused)).to.equal(true);
    expect(
      await at.page.evaluate(
        () => getComputedStyle(document.getElementById('start')!).transitionDuration,
      ),
    ).to.equal('0s');
  });

  it('can be used by keys alone', async () => {
    await at.page.click('summary');
    await at.page.focus('#file');
    const visited: string[] = [];
    for (let i = 0; i < 7; i++) {
      await at.page.keyboard.press('Tab');
      visited.push(
        await at.page.evaluate(() => {
          const focused = document.activeElement as HTMLElement;
          return focused.dataset.sample ?? (focused.id || focused.localName);
        }),
      );
    }
    expect(visited).to.deep.equal([
      ...['toy-rocket.png', 'toy-comet.png', 'toy-car.png', 'rocket.jpg'],
      ...['motion', 'start', 'summary'],
    ]);
  });
});
