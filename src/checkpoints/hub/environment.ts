/**
 * Where the hub and its cache are, and who asks: the environment variables of Python's
 * huggingface_hub, with its meanings and defaults.
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { homeFolder } from '../../files/home.ts';
import { takeCredentials } from '../../network/credentials.ts';
import { CheckpointError } from '../errors.ts';

/** Options that say where to look; each goes before its environment variable. */
export interface HubOptions {
  /**
   * Folder of the cache. Default: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or
   * `~/.cache/huggingface/hub`.
   */
  cacheDir?: string;
  /** Access token. Default: `HF_TOKEN`, or what `hf auth login` has stored. */
  token?: string;
  /** Take what is in the cache and ask nobody. Default: `HF_HUB_OFFLINE`. */
  localFilesOnly?: boolean;
}

/** The same with everything filled in. */
export interface HubSettings {
  endpoint: string;
  cacheDir: string;
  /** The header that says who asks. */
  authorization?: string;
  offline: boolean;
}

type Environment = Record<string, string | undefined>;

/** @throws CheckpointError if the token cannot be one. */
export async function hubSettings(
  options: HubOptions,
  env: Environment = process.env,
): Promise<HubSettings> {
  const home = () => expand(env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? '~/.cache', 'huggingface'));
  const given = [options.token, env.HF_TOKEN, env.HUGGING_FACE_HUB_TOKEN].map(cleaned);
  const token = given.find(Boolean) ?? (await storedToken(env.HF_TOKEN_PATH, home));
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new CheckpointError(
      'The access token has characters that none can have, such as spaces. Copy it from the ' +
        'settings of your account.',
    );
  }
  const { endpoint, credentials } = hubEndpoint(env);
  return {
    endpoint,
    cacheDir: expand(
      options.cacheDir ?? env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(home(), 'hub'),
    ),
    authorization: credentials ?? (token && `Bearer ${token}`),
    offline: options.localFilesOnly ?? (isOn(env.HF_HUB_OFFLINE) || isOn(env.TRANSFORMERS_OFFLINE)),
  };
}

/** A text without what copying and shells leave around it: blanks, line ends and quotes. */
const cleaned = (text = ''): string =>
  text
    .trim()
    .replace(/^(["'])(.*)\1$/s, '$2')
    .trim();

/** The address of the hub, and the name and the password in it, which no message may show. */
export function hubEndpoint(env: Environment = process.env): {
  endpoint: string;
  credentials?: string;
} {
  const text = cleaned(env.HF_ENDPOINT) || 'https://huggingface.co';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const credentials = url && takeCredentials(url);
  const endpoint = credentials === undefined ? text : url!.href;
  return { endpoint: endpoint.replace(/\/+$/, ''), credentials };
}

async function storedToken(
  path: string | undefined,
  home: () => string,
): Promise<string | undefined> {
  const read = async () => readFile(expand(path ?? join(home(), 'token')), 'utf8');
  const text = await read().catch(() => '');
  return cleaned(text) || undefined;
}

const isOn = (value = '') => ['1', 'ON', 'YES', 'TRUE'].includes(value.toUpperCase());

/** An absolute path; `~` is the user's folder. */
function expand(path: string): string {
  if (!/^~(?=$|[/\\])/.test(path)) return resolve(path);
  const home = homeFolder();
  if (home !== undefined) return resolve(home + path.slice(1));
  throw new CheckpointError(
    `This user has no home folder, which ${path} is in. Set HF_HOME to a folder for models.`,
  );
}
