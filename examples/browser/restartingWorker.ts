/** The worker as the page sees it: started when it is needed, and anew after it has died. */
import type { FromWorker, ToWorker } from './messages.ts';

export class RestartingWorker {
  #worker: Worker | undefined;
  readonly #receive: (message: FromWorker) => void;
  readonly #die: (message: string) => void;

  /** `die` gets one sentence for the visitor when a worker dies that was not ended by `end`. */
  constructor(receive: (message: FromWorker) => void, die: (message: string) => void) {
    this.#receive = receive;
    this.#die = die;
  }

  send(message: ToWorker): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  /** Ends the worker, even while it computes. */
  end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #start(): Worker {
    // Tabs share locks, so the name has to be one of a kind.
    const name = `worker ${Math.random()}`;
    const worker = new Worker('./worker.js', { type: 'module', name });
    const dead = (reason: string) => {
      if (worker !== this.#worker) return;
      this.end();
      this.#die(`The worker has died: ${reason}. Start again to use a new one.`);
    };
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (worker !== this.#worker) return;
      if (data.type !== 'locked') return this.#receive(data);
      // Granted when the worker no longer holds it, however it has died.
      void navigator.locks.request(name, () => dead('there may not be enough memory'));
    };
    worker.onerror = ({ message }) =>
      dead(message?.replace(/\.$/, '') || 'its program cannot be loaded');
    worker.onmessageerror = () => dead('its answer cannot be read');
    return worker;
  }
}
