/** A least rate for what comes over the network. Runs in browsers, too. */
import { NetworkError } from './errors.ts';
import { type NetworkLimits, seconds } from './limits.ts';

/** Aborts a request that is too slow. */
export class Watch {
  private readonly slow = new AbortController();
  private readonly timer: ReturnType<typeof setInterval>;
  private came = 0;
  private waiting = true;

  constructor({ window, leastBytes }: Pick<NetworkLimits, 'window' | 'leastBytes'>) {
    this.timer = setInterval(() => {
      if (this.waiting && this.came < leastBytes)
        this.slow.abort(
          new NetworkError(
            `${this.came === 0 ? 'nothing has' : `only ${this.came} bytes have`} come in ` +
              seconds(window),
          ),
        );
      this.came = 0;
    }, window);
  }

  get signal(): AbortSignal {
    return this.slow.signal;
  }

  /** Bytes have come, and whoever asked for them works on them. */
  took(bytes: number): void {
    this.came += bytes;
    this.waiting = false;
  }

  waits(): void {
    this.waiting = true;
  }

  end(): void {
    clearInterval(this.timer);
  }
}
