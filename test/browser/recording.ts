/** Records in a page what its worker tells it and what a visitor sees. */
import type { Browser, Page } from 'playwright-core';
import { patience } from '../harness/patience.ts';

/** What the page's worker has said. */
type Message = {
  type: string;
  message?: string;
  frames?: { width: number; height: number; data: number[] }[];
  progress?: { stage: string };
};

/**
 * What a visitor sees whenever the status changes. `bar` is the part of the progress bar that is
 * filled, `pixels` are RGBA.
 */
type Sight = { status: string; bar: number; width: number; height: number; pixels: number[] };

/** What has been recorded in the page. */
export type Recorded = { told: Message[]; seen: Sight[]; drawn: number[] };

/** Runs in the page. */
function recordHere(): void {
  const recorded: { told: unknown[]; seen: Sight[]; drawn: number[] } = {
    told: [],
    seen: [],
    drawn: [],
  };
  Object.assign(window, { recorded });
  const { Worker } = window;
  window.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      this.addEventListener('message', ({ data }) => recorded.told.push(data));
    }
  };
  document.addEventListener('DOMContentLoaded', () => {
    const status = document.getElementById('status')!;
    const see = () => {
      const { value, max } = document.querySelector('progress')!;
      const canvas = document.querySelector('canvas')!;
      const { width, height } = canvas;
      const pixels =
        width > 0
          ? Array.from(canvas.getContext('2d')!.getImageData(0, 0, width, height).data)
          : [];
      recorded.seen.push({ status: status.textContent!, bar: value / max, width, height, pixels });
    };
    new MutationObserver(see).observe(status, { childList: true });
    const draw = (time: number) => {
      if (status.textContent!.startsWith('Sampling')) recorded.drawn.push(time);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  });
}

/** The processor time that all processes of a browser have used. */
export async function processorSeconds(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/**
 * Records the worker's messages, what is seen, and when frames are drawn during sampling, from the
 * next visit on.
 */
export async function record(page: Page): Promise<void> {
  page.setDefaultTimeout(patience);
  // What tsx makes of functions in functions calls this helper, which pages do not have.
  await page.addInitScript('globalThis.__name = (value) => value');
  await page.addInitScript(recordHere);
}

/** One kind of what has been recorded, with typed arrays as lists. */
export const recorded = async <K extends keyof Recorded>(
  page: Page,
  kind: K,
): Promise<Recorded[K]> =>
  page.evaluate((kind) => {
    const found = (window as unknown as { recorded: Recorded }).recorded[kind];
    return JSON.parse(
      JSON.stringify(found, (_, value) =>
        ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value,
      ),
    );
  }, kind);

/** The worker's messages of a type. */
export const told = async (page: Page, type: string) =>
  (await recorded(page, 'told')).filter((message) => message.type === type);
