/** Amounts of memory as people read them. */

/** Such as `7.3 GiB` or `512 MiB`. */
export function formatBytes(bytes: number): string {
  return bytes < 2 ** 30
    ? `${Math.ceil(bytes / 2 ** 20)} MiB`
    : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
