/** The certificates that the environment says to trust, as Python's libraries take them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { correct, NetworkError } from './errors.ts';
import type { Environment } from './proxies.ts';

/** Each may name a file of certificates (PEM) or a folder of such files. */
const VARIABLES = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'];

/** The variables that are set, and their values. */
export function certificateSettings(env: Environment = process.env): [string, string][] {
  return VARIABLES.flatMap((name): [string, string][] => (env[name] ? [[name, env[name]]] : []));
}

/**
 * All certificates that the settings name, to be trusted instead of Node's own; undefined if there
 * are no settings.
 * @throws NetworkError if one cannot be read or names no certificates.
 */
export function certificatesOf(settings: [string, string][]): string[] | undefined {
  if (settings.length === 0) return undefined;
  return settings.map(([name, path]) => {
    const certificates = read(name, path);
    if (/-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(certificates)) return certificates;
    throw unusable(name, path, 'which holds no certificates');
  });
}

function read(name: string, path: string): string {
  try {
    if (!statSync(path).isDirectory()) return readFileSync(path, 'utf8');
    const files = readdirSync(path).map((file) => join(path, file));
    return files
      .filter((file) => statSync(file).isFile())
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
  } catch (error) {
    throw unusable(name, path, `which cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

const unusable = (name: string, path: string, why: string) =>
  new NetworkError(`${name} is ${path}, ${why}`, { passing: 'no', wayOut: correct(name) });
