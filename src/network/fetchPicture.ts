/** Fetches pictures from their addresses. */

import { shownAddress } from '../text/addresses.ts';
import { answerError, NetworkError } from './errors.ts';
import { type NetworkLimits, networkLimits } from './limits.ts';
import { persistently } from './persistently.ts';
import { request } from './request.ts';

/**
 * A picture may be larger than other answers, but has to come as a whole in less than two minutes.
 */
const limitsOfPictures: NetworkLimits = {
  ...networkLimits,
  patience: 100_000,
  mostBytes: 128 * 2 ** 20,
};

/**
 * The bytes of a picture file.
 * @param address An `http(s):` or `data:` address. Messages show it without its query, name and
 * password.
 * @throws Error that says why the picture cannot be had.
 */
export async function fetchPicture(
  address: string,
  limits: Partial<NetworkLimits> = {},
): Promise<Uint8Array> {
  try {
    if (/^data:/i.test(address)) return new Uint8Array(await (await fetch(address)).arrayBuffer());
    return await download(address, { ...limitsOfPictures, ...limits });
  } catch (error) {
    const name = shownAddress(address);
    const known = error instanceof NetworkError ? error : undefined;
    const {
      message = 'it is no valid address',
      wayOut = 'Check the address, or download the picture and pass its path.',
    } = known ?? {};
    throw new Error(`The picture "${name}" could not be fetched (${message}). ${wayOut}`, {
      cause: error,
    });
  }
}

const download = (address: string, limits: NetworkLimits): Promise<Uint8Array> =>
  persistently({ server: shownAddress(address), limits }, async ({ signal }) => {
    await using answer = await request(address, { signal, limits });
    if (!answer.ok) throw answerError(answer);
    return await answer.bytes();
  });
