/** Tells versions of a file behind a URL apart, as far as its server tells. */

/** What a server tells of the version of a file. */
export interface Version {
  etag?: string;
  modified?: string;
  /** In bytes. */
  size?: number;
}

/** The size of the whole file, of which an answer may hold a part. */
function sizeOf({ status, headers }: Response): number | undefined {
  if (status === 206) {
    const [, size] = /\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
    return size === undefined ? undefined : Number(size);
  }
  // With a content encoding, the length is that of the packed bytes.
  const length = headers.has('content-encoding') ? null : headers.get('content-length');
  return length === null ? undefined : Number(length);
}

/** The version of the file that an answer is of. Other sites hide most headers from scripts. */
export function versionOf(response: Response): Version {
  const text = (name: string) => response.headers.get(name) ?? undefined;
  return { etag: text('etag'), modified: text('last-modified'), size: sizeOf(response) };
}

/** Whether two versions are the same, if enough is known of both. */
export function isSame(a: Version, b: Version): boolean | undefined {
  if (a.size !== undefined && b.size !== undefined && a.size !== b.size) return false;
  // Without one of these, another file of the same length, such as other weights of the same model,
  // would pass for this one.
  for (const name of ['etag', 'modified'] as const)
    if (a[name] !== undefined && b[name] !== undefined) return a[name] === b[name];
  return undefined;
}

/** The SHA-256 of a large file, as the hub tells it. */
export const hashOf = ({ headers }: Response): string | undefined =>
  /^"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '')?.[1];
