/** How long requests may take, and how much may come. */

/** Limits of time in milliseconds and of size in bytes. */
export interface NetworkLimits {
  /** Tries without progress before giving up. */
  tries: number;
  /** The first pause after a failed try; the next ones are twice as long. */
  pause: number;
  /** The longest time without progress, over all tries. What a server asks to wait is no longer. */
  patience: number;
  /** The time in which `leastBytes` have to come, also before the first of them. */
  window: number;
  leastBytes: number;
  /** The time without an answer after which a line on standard error says so. */
  silence: number;
  /** The most that an answer which is kept in memory may hold, unpacked. */
  mostBytes: number;
}

/** The limits of requests, unless tests set others: whatever a server does ends in two minutes. */
export const networkLimits: NetworkLimits = {
  tries: 6,
  pause: 1000,
  patience: 60_000,
  window: 20_000,
  leastBytes: 20 * 1024,
  silence: 5000,
  mostBytes: 16 * 2 ** 20,
};

/** A time in words. */
export const seconds = (milliseconds: number): string =>
  milliseconds > 120_000
    ? `${Math.ceil(milliseconds / 60_000)} minutes`
    : `${Math.ceil(milliseconds / 100) / 10} seconds`;
