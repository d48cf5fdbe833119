/** Why a request failed, in words, and whether it can succeed later. */

/**
 * Whether the next try may succeed. `if reached`: only where the server has answered before,
 * because a host that cannot be found or that refuses does so again.
 */
export type Passing = 'yes' | 'if reached' | 'no';

/** A request failed. The message is the reason, as a part of a sentence. */
export class NetworkError extends Error {
  /** Tells it from other errors. */
  override name = 'NetworkError';
  readonly passing: Passing;
  /** Milliseconds that the server asks to wait. */
  readonly pause?: number;
  /** What to do, as a sentence, where it is known better than by whoever asks. */
  readonly wayOut?: string;

  constructor(
    message: string,
    {
      passing = 'yes',
      pause,
      wayOut,
      cause,
    }: { passing?: Passing; pause?: number; wayOut?: string; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.wayOut = wayOut;
    this.passing = passing;
    this.pause = pause;
  }
}

/** The way out of a wrong environment variable. */
export const correct = (variable: string): string => `Correct ${variable}, or unset it.`;

const UNREACHED: Record<string, string> = {
  ENOTFOUND: 'its host cannot be found',
  EAI_AGAIN: 'its host cannot be found now',
  ECONNREFUSED: 'its host refuses the connection',
  ENETUNREACH: 'there is no network',
  EHOSTUNREACH: 'there is no way to its host',
};
const INTERRUPTED: Record<string, string> = {
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_CONNECT_TIMEOUT: 'its host does not answer',
  ETIMEDOUT: 'its host does not answer',
};
const CERTIFICATE =
  /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH/;
const NO_TLS = /^(EPROTO$|ERR_SSL)/;
const NO_HTTP = /^(HPE_|HTTPParserError|UND_ERR_INVALID|UND_ERR_HEADERS_OVERFLOW)/;
const NOT_PACKED = /^(Z_|ERR_BROTLI|ERR__ERROR|ZSTD_)/;

/** What `fetch` throws, whose reason is in the deepest cause, as a NetworkError. */
export function networkError(error: unknown): NetworkError {
  let cause = error;
  while (!(cause instanceof NetworkError) && cause instanceof Error && cause.cause instanceof Error)
    cause = cause.cause;
  if (cause instanceof NetworkError) return cause;
  const { code, message } = describe(cause);
  const because = (reason: string, passing: Passing) =>
    new NetworkError(reason, { passing, cause: error });
  const unreached = UNREACHED[code];
  if (unreached !== undefined) return because(`${unreached} (${message})`, 'if reached');
  const tunnel = /^Proxy (?:response|Authentication Required) \((\d+)\)/.exec(message)?.[1];
  if (tunnel !== undefined) return proxyRefusal(Number(tunnel));
  if (CERTIFICATE.test(code))
    return because(
      `its certificate cannot be trusted (${message}); if the network has certificates of its ` +
        'own, name their file in SSL_CERT_FILE',
      'no',
    );
  if (NO_TLS.test(code)) return because('what answers there does not speak TLS (https)', 'no');
  if (NO_HTTP.test(code)) return because('what answers there does not speak HTTP', 'if reached');
  if (code === 'ERR_INVALID_URL') return because('it leads on to what is no address', 'no');
  if (NOT_PACKED.test(code)) return because(`what it sends cannot be unpacked (${message})`, 'yes');
  // Without a code, `fetch` itself refuses, such as an endless redirection.
  return because(INTERRUPTED[code] ?? message, code === '' ? 'no' : 'yes');
}

/** What hinders the way to the proxy that a variable names; other errors as they are. */
export function proxyError(error: Error, { host }: URL, variable: string): Error {
  const { code } = describe(error);
  if (!(code in UNREACHED) && code !== 'UND_ERR_CONNECT_TIMEOUT' && code !== 'ETIMEDOUT')
    return error;
  const { message, passing } = networkError(error);
  return new NetworkError(`the proxy of ${variable}, ${host}, cannot be reached: ${message}`, {
    passing,
    wayOut: correct(variable),
    cause: error,
  });
}

/** What a proxy answers instead of the server. */
export function proxyRefusal(status: number): NetworkError {
  const reason =
    status === 407
      ? 'the proxy wants a name and a password, which http://NAME:PASSWORD@HOST gives it'
      : `the proxy answers with status ${status}`;
  return new NetworkError(reason, { passing: status >= 500 ? 'yes' : 'no' });
}

interface Refusing {
  status: number;
  statusText: string;
  headers: { get(name: string): string | null };
}

/** An answer that is none: the server is busy, has failed, or refuses. */
export function answerError({ status, statusText, headers }: Refusing): NetworkError {
  if (status === 407) return proxyRefusal(status);
  const passing = status === 408 || status === 416 || status === 429 || status >= 500;
  const words = statusText.replace(/[^\x20-\x7e]/g, ''); // they go to a terminal
  return new NetworkError(`it answers with status ${status} ${words}`.trim(), {
    passing: passing && status !== 511 ? 'yes' : 'no',
    pause: retryAfter(headers.get('retry-after')),
  });
}

/** Seconds or a date, as milliseconds from now. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const pause = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isFinite(pause) ? Math.max(0, pause) : undefined;
}

function describe(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  const named = error.name === 'HTTPParserError' ? error.name : '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : named;
  return { code, message: error.message.split('\n')[0]!.trim() || code || error.name };
}
