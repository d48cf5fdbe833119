/** Requests to the hub that survive failures of the network and explain refusals. */
import { answerError, correct, NetworkError } from '../../network/errors.ts';
import type { NetworkLimits } from '../../network/limits.ts';
import { type Attempt, persistently } from '../../network/persistently.ts';
import { type Answer, request } from '../../network/request.ts';
import { CheckpointError } from '../errors.ts';

/** The hub does not give the model now; one that is in the cache can be used all the same. */
export class UnavailableError extends CheckpointError {}

/** The hub could not be reached, or what answers is no hub. */
export class UnreachableError extends UnavailableError {}

/** The hub, the model and the revision, for requests and for messages. */
export interface Origin {
  endpoint: string;
  /** `org/name`. */
  id: string;
  revision: string;
  /** The header for the access token, or for the name and password of the endpoint. */
  authorization?: string;
  signal?: AbortSignal;
  limits: NetworkLimits;
}

/**
 * Does `work`, and does it again as long as the network or the hub fails.
 * @throws UnreachableError after too many failures, or if none may pass; what else `work` throws;
 * the signal's reason.
 */
export async function withHub<T>(
  { endpoint, signal, limits }: Origin,
  work: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  try {
    return await persistently({ server: endpoint, signal, limits }, work);
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    const wayOut = /^https?:\/\//i.test(endpoint)
      ? 'Check the connection and run the same again: what is there stays.'
      : correct('HF_ENDPOINT');
    throw new UnreachableError(
      `${endpoint} cannot be reached: ${error.message}. ${error.wayOut ?? wayOut}`,
      { cause: error },
    );
  }
}

/**
 * One request, with the token if it goes to the hub itself.
 * @throws NetworkError if the network or the server fails; UnavailableError with the way out if the
 * server refuses; CheckpointError if there is no such revision.
 */
export async function askHub(
  origin: Origin,
  url: string,
  signal: AbortSignal,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { endpoint, authorization, limits } = origin;
  const isHubs = URL.canParse(url) && new URL(url).origin === new URL(endpoint).origin;
  const answer = await request(url, {
    headers: isHubs && authorization !== undefined ? { ...headers, authorization } : headers,
    signal,
    limits,
  });
  if (answer.ok) return answer;
  await answer[Symbol.asyncDispose]();
  throw refusal(origin, answer);
}

/**
 * A page of JSON, and the address of the next one.
 * @throws UnreachableError if something else answers; otherwise as `withHub` and `askHub`.
 */
export function askJson(origin: Origin, url: string): Promise<{ value: unknown; next?: string }> {
  return withHub(origin, async ({ signal }) => {
    await using answer = await askHub(origin, url, signal);
    const text = Buffer.from(await answer.bytes()).toString();
    const [, next] = NEXT_PAGE.exec(answer.headers.get('link') ?? '') ?? [];
    try {
      return { value: JSON.parse(text), next: next && new URL(next, url).href };
    } catch {
      throw noHub('answers with no JSON but with something else');
    }
  });
}

/** The address in a header such as `<https://...>; rel="next"`. */
const NEXT_PAGE = /<([^>]+)>;\s*rel="?next"?/;

const noHub = (what: string) => new NetworkError(`it ${what}`, { passing: 'no' });

const isWebPage = ({ headers }: Answer) =>
  /^text\/html/i.test(headers.get('content-type') ?? '') && !headers.has('x-error-code');

function refusal({ endpoint, id, revision, authorization }: Origin, answer: Answer): Error {
  const { status } = answer;
  const code = answer.headers.get('x-error-code') ?? '';
  const failure = answerError(answer);
  if (failure.passing === 'yes' || status === 407 || status === 511) return failure;
  if (isWebPage(answer) && status !== 404)
    return noHub(
      `answers with a web page (status ${status}), as networks do that want a login first`,
    );
  if (code === 'GatedRepo') {
    const how =
      authorization === undefined
        ? 'then pass an access token: --token, HF_TOKEN, or `hf auth login`'
        : 'with the account of your token';
    return new UnavailableError(`${id} is gated. Accept its licence on ${endpoint}/${id}, ${how}.`);
  }
  if (code === 'RevisionNotFound') {
    return new CheckpointError(
      `${id} has no revision "${revision}". Use a branch, a tag or a commit of ` +
        `${endpoint}/${id}, or leave it out.`,
    );
  }
  if (status === 401 && authorization !== undefined && code !== 'RepoNotFound') {
    return new UnavailableError(
      `${endpoint} does not accept the access token. Make a new one in the settings of your ` +
        'account.',
    );
  }
  if (status === 401 || status === 404) {
    const hint =
      authorization === undefined
        ? 'pass an access token (--token, HF_TOKEN) if it is private'
        : 'or let the account of your token see it';
    return new UnavailableError(
      `There is no model ${id} on ${endpoint}. Check the ` + `name, ${hint}.`,
    );
  }
  if (status === 403)
    return new UnavailableError(
      `${endpoint} does not let this access token read ${id}. Allow it to read.`,
    );
  return new UnavailableError(`${endpoint} refuses to give ${id}: status ${status}.`);
}
